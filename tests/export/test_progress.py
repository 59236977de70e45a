"""An export says what it does, how far it is and how long it will take."""

import io

import pytest
from rich.console import Console

from fedrela.export.reporting import progress as shown
from fedrela.export.reporting.progress import Progress
from fedrela.export.reporting.stages import ANALYSIS, EAGER, Stage, planned


class Clock:
    """Stands still but for what a test adds."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def made(stages: tuple[Stage, ...], force_terminal: bool | None = None) -> tuple[Progress, Clock, io.StringIO]:
    clock, out = Clock(), io.StringIO()
    return Progress(stages, Console(file=out, width=120, force_terminal=force_terminal), clock), clock, out


def test_the_time_left_follows_from_the_pace_so_far() -> None:
    progress, clock, _ = made((Stage("a", 1.0), Stage("b", 2.0), Stage("c", 1.0)))
    progress.report("a")
    assert (progress.done(), progress.left()) == (0.0, "")
    clock.now += 10
    progress.report("b")
    assert progress.done() == 0.25
    assert progress.left() == "about 30 s left"
    clock.now += 10
    assert progress.done() == 0.5
    clock.now += 1000  # longer than thought: it is still not over
    assert progress.done() == pytest.approx(0.25 + 0.95 * 0.5)


def test_what_is_no_stage_is_a_line_and_moves_nothing() -> None:
    progress, _, out = made((Stage("a", 1.0), Stage("b", 1.0)))
    progress.report("b")
    progress.report("model: [taken] out of its wrapper")
    assert progress.done() == 0.5
    assert out.getvalue() == "• b\n• model: [taken] out of its wrapper\n"


def test_a_stage_that_takes_long_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "SILENCE_SECONDS", 0.0)
    progress, _, out = made((Stage("a", 1.0),))
    with progress:
        while "still at it: 0 s so far" not in out.getvalue():
            pass


def test_a_terminal_has_a_bar_that_is_gone_at_the_end() -> None:
    progress, clock, out = made((Stage("a", 1.0), Stage("b", 1.0)), force_terminal=True)
    with progress:
        progress.report("a")
        clock.now += 10
        progress.report("b")
    assert "50%" in out.getvalue()
    assert "about 10 s left" in out.getvalue()
    assert "still at it" not in out.getvalue()


@pytest.mark.parametrize("runtimes", [("onnx",), ("onnx", "executorch")])
def test_every_stage_is_planned_once(runtimes: tuple[str, ...]) -> None:
    lines = [stage.line for stage in planned(runtimes)]
    assert len(set(lines)) == len(lines) == 3 + 3 * len(runtimes)
    assert lines[0] == ANALYSIS
    assert lines[1 + 3 * len(runtimes)] == EAGER

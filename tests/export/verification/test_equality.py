"""What a loss may be off by after steps of a runtime's own: what roundings of the weights make of it, and no more."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedrela.export.verification import equality, stability
from fedrela.export.verification.replay import ROUNDING, step_errors
from tests.core.test_golden import MANIFEST, predict, relabel_program, train

WEIGHTS = {
    "w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "b": np.zeros(3, np.float32),
    "steps": np.zeros(1, np.float32),
    "momentum.w": np.zeros((3, 4), np.float32),
}
STEEP = 200.0  # of a loss in the sum of the weights
Feeds = dict[str, np.ndarray]


def steep(feeds: Feeds) -> Feeds:
    """A step whose loss would always be 1 without roundings: no step changes the sum of the weights over classes."""
    moved = feeds["w"].sum(dtype=np.float64) - feeds["anchor.w"].sum(dtype=np.float64) / 0.9
    return train(feeds) | {"loss_sum": np.float32(1 + STEEP * moved)}


def rounded(step: Callable[[Feeds], Feeds]) -> Callable[[Feeds], Feeds]:
    """`step`, its new weights off by some roundings."""

    def other(feeds: Feeds) -> Feeds:
        outputs = step(feeds)
        return outputs | {"new.w": outputs["new.w"] + np.float32(3e-7)}

    return other


def drawn(step: Callable[[Feeds], Feeds]) -> dict[str, np.ndarray]:
    programs: Any = SimpleNamespace(train_step=step, predict=predict, relabel=relabel_program)
    return equality.fresh_steps(programs, programs, MANIFEST, WEIGHTS, seed=0)


def inputs_of(steps: Feeds, step: str) -> Feeds:
    """What eager PyTorch was given at `step`: what is not recorded is what the step before had or made."""
    seen: list[Feeds] = []

    def listening(feeds: Feeds) -> Feeds:
        seen.append(feeds)
        return train(feeds)

    step_errors(runs(listening), steps)
    return seen[int(step[-1])]


def runs(step: Callable[[Feeds], Feeds]) -> dict[str, Any]:
    return {"train_step": step, "predict": predict, "relabel": relabel_program}


def test_the_allowance_is_three_times_what_roundings_do_and_none_at_first() -> None:
    steps = drawn(train)
    assert f"train_step.0/{ROUNDING}/loss_sum" not in steps
    for step in ("train_step.1", "train_step.2"):
        inputs = inputs_of(steps, step)
        far = 0.0
        for direction in stability.PERTURBATIONS:
            moves = stability.moves_of(MANIFEST, direction)
            for sign in (1, -1):
                moved = {name: inputs[name] * (1 + np.float32(sign * 1e-5) * moves[name]) for name in ("w", "b")}
                far = max(far, abs(float(train(inputs | moved)["loss_sum"] - steps[f"{step}/out/loss_sum"])))
        allowed = equality.TOLERANCE * float(steps[f"{step}/{ROUNDING}/loss_sum"])
        assert allowed == pytest.approx(3 * far, rel=0.05)
        assert 0 < allowed < equality.TOLERANCE * float(steps[f"{step}/out/loss_sum"])  # not even twice the tolerance


@pytest.mark.parametrize("step", [train, steep])
def test_a_runtime_with_other_roundings_is_right(step: Callable[[Feeds], Feeds]) -> None:
    errors = step_errors(runs(rounded(step)), drawn(step))
    assert max(errors.values()) <= equality.TOLERANCE


def test_without_the_allowance_a_steep_loss_would_be_refused() -> None:
    steps = {name: value for name, value in drawn(steep).items() if not name.endswith(f"{ROUNDING}/loss_sum")}
    errors = step_errors(runs(rounded(steep)), steps)
    assert max(errors.values()) > equality.TOLERANCE


@pytest.mark.parametrize("late", [False, True], ids=["from the first step", "after it"])
def test_a_wrong_loss_is_refused(late: bool) -> None:
    def wrong(feeds: Feeds) -> Feeds:
        outputs, first = train(feeds), feeds["steps"][0] < 1
        return outputs | {"loss_sum": outputs["loss_sum"] * (1 if late and first else 1.001)}

    errors = step_errors(runs(wrong), drawn(train))
    assert {name for name, error in errors.items() if not error <= equality.TOLERANCE} == {
        f"train_step.{step}.loss_sum" for step in range(int(late), 3)
    }


def test_thorough_steps_are_the_same_steps_and_allow_no_less() -> None:
    def at_a_kink(feeds: Feeds) -> Feeds:
        side = int(np.abs(feeds["w"]).sum(dtype=np.float64) * 1e7) % 2
        return train(feeds, slope=1 + 0.01 * side)

    programs: Any = SimpleNamespace(train_step=at_a_kink, predict=predict, relabel=relabel_program)
    quick, thorough = (
        equality.fresh_steps(programs, programs, MANIFEST, WEIGHTS, seed=0, thorough=which) for which in (False, True)
    )
    allowances = {name for name in thorough if "/allow/" in name or f"/{ROUNDING}/" in name}
    assert any("/allow/new.w" in name for name in quick)
    assert all(thorough[name] >= quick.get(name, 0.0) for name in allowances)
    assert any(thorough[name] > quick.get(name, 0.0) for name in allowances)
    same = thorough.keys() - allowances
    assert same == {name for name in quick if name not in allowances}
    assert all(np.array_equal(thorough[name], quick[name]) for name in same)

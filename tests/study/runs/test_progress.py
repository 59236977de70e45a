"""Lines of progress, by a clock that the test turns."""

import pytest

from fedrela.study.runs import progress
from fedrela.study.runs.setups import counting

ROW = {
    "arm": "kept",
    "variant": {"name": "τ 20"},
    "setting": {"name": "50:1 [bold]"},
    "method": "fedavg",
    "seed": 3,
    "measured": {"overall": 0.486, "many": 0.9, "medium": None, "few": 0.0},
}


class Clock:
    """Stands in for the module `time`."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    turned = Clock()
    monkeypatch.setattr(progress, "time", turned)
    return turned


def test_the_rest_takes_as_long_per_round_as_what_is_done_and_an_export_before_is_no_round(clock, capsys):
    with progress.Bar() as bar:
        bar.begin(cells=4, finished=1, rounds=31)
        clock.now += 500
        bar.advance("trunk", 1)
        clock.now += 20
        bar.advance("trunk", 10)
        bar.finished(ROW)
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines == [
        "4 cells, 1 finished before, 31 rounds to go",
        "trunk: 1 of 31 rounds",
        "[2/4] 50:1 [bold], fedavg, seed 3, kept (τ 20): overall 48.6 many 90.0 few 0.0 | about 40 s left",
    ]


def test_before_the_first_round_there_is_no_estimate(clock, capsys):
    with progress.Bar() as bar:
        bar.begin(cells=1, finished=0, rounds=5)
        bar.finished(ROW | {"variant": None, "arm": "trunk"})
    last = capsys.readouterr().err.strip("\n").splitlines()[-1]
    assert "seed 3, trunk: " in last
    assert "left" not in last


def test_a_file_gets_a_line_of_rounds_once_a_minute_at_most(clock, capsys):
    with progress.Bar() as bar:
        bar.begin(cells=1, finished=0, rounds=100)
        for _ in range(4):
            clock.now += 31
            bar.advance("fedavg, seed 1", 1)
    lines = capsys.readouterr().err.strip().splitlines()[1:]
    assert lines == [
        "fedavg, seed 1: 2 of 100 rounds | about 51 min left",  # 98 x 31 s = 50.6 min
        "fedavg, seed 1: 4 of 100 rounds | about 50 min left",  # 96 x 31 s = 49.6 min
    ]


def test_rounds_of_a_run_that_was_killed_are_done_but_tell_nothing_of_the_time_left(clock, capsys):
    with progress.Bar() as bar:
        bar.begin(cells=1, finished=0, rounds=400)
        clock.now += 61
        first, second = counting(bar, "FedAvg"), counting(bar, "pooled")
        for number in (186, 187, 188):
            first(number)
            clock.now += 4
        for number in (51, 52):
            second(number)
            clock.now += 4
        bar.finished(ROW)
    lines = capsys.readouterr().err.strip().splitlines()[1:]
    assert lines == [
        "FedAvg: 185 of 400 rounds",
        # 188 and 52 rounds are done, of which 4 were timed, with 20 s; so the other 160 take 800 s
        "[1/1] 50:1 [bold], fedavg, seed 3, kept (τ 20): overall 48.6 many 90.0 few 0.0 | about 13 min left",
    ]

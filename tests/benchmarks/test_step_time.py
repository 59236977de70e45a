"""The options of the step benchmark: what a command line names is measured, and nothing else."""

import pytest

from benchmarks.step import report
from benchmarks.step_time import EVERYTHING, QUICK, options_of


@pytest.mark.parametrize("quick", [[], ["--quick"]])
@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_named_is_measured_though_it_equals_a_default(name: str, quick: list[str]) -> None:
    for value in (EVERYTHING[name], QUICK.get(name, EVERYTHING[name])):
        words = map(str, value if isinstance(value, list) else [value])
        assert vars(options_of([*quick, f"--{name}", *words]))[name] == value


def test_what_is_not_named_is_the_quick_run_s_or_everything() -> None:
    assert vars(options_of([])).items() >= EVERYTHING.items()
    assert vars(options_of(["--quick"])).items() >= (EVERYTHING | QUICK).items()


def test_only_a_run_of_everything_writes_the_results() -> None:
    assert options_of([]).out == options_of(["--seconds", "2"]).out == report.RESULTS
    assert options_of(["--quick"]).out is None
    assert options_of(["--batches", "8"]).out is None

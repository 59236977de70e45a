"""Steps of a program beside recorded ones: its own state is carried along, but not what rounding decided."""

import numpy as np
import pytest

from fedrela.export.verification.replay import RESTART, step_errors

# By hand: a program that doubles its only weight; eager PyTorch goes 1 -> 2 -> 4, this one 1 -> 3 -> 6.
STEPS = {
    "train_step.0/in/w": np.float32(1).reshape(1),
    "train_step.0/out/new.w": np.float32(2).reshape(1),
    "train_step.1/in/w": np.float32(2).reshape(1),
    "train_step.1/out/new.w": np.float32(4).reshape(1),
}
FIRST, SECOND = "train_step.0.new.w", "train_step.1.new.w"


def off_at_first(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"new.w": given["w"] * (3 if given["w"] == 1 else 2)}


@pytest.mark.parametrize(
    ("more", "second"),
    [
        ({}, 2 / 2.04),  # |6 - 4| of |4 - 2| + 1 % of 4
        ({f"train_step.0/{RESTART}": np.ones((), np.float32)}, 0.0),
        ({"train_step.0/allow/new.w": np.float32(1e6).reshape(())}, 0.0),
    ],
    ids=["carried along", "marked", "allowed more"],
)
def test_a_step_starts_where_the_last_one_ended_unless_rounding_decided_it(more: dict, second: float) -> None:
    errors = step_errors({"train_step": off_at_first}, STEPS | more)
    assert errors[SECOND] == pytest.approx(second)
    assert (errors[FIRST] < 1e-5) == ("train_step.0/allow/new.w" in more)


def test_what_was_off_after_a_large_change_is_not_measured_by_a_smaller_one() -> None:
    # By hand: eager goes 1 -> 101 -> 102; this program keeps what it was off by, 0.01 of a change of 100, which is half
    # of the tolerance. Of the second change alone, 1, it would be 50 times as much.
    steps = {
        "train_step.0/in/w": np.float32(1).reshape(1),
        "train_step.0/out/new.w": np.float32(101).reshape(1),
        "train_step.1/in/w": np.float32(101).reshape(1),
        "train_step.1/out/new.w": np.float32(102).reshape(1),
    }

    def program(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"new.w": given["w"] + (np.float32(100.01) if given["w"] == 1 else np.float32(1))}

    errors = step_errors({"train_step": program}, steps)
    assert errors[FIRST] == pytest.approx(0.01 / 101.01, rel=1e-3)
    assert errors[SECOND] == pytest.approx(0.01 / 101.01, rel=1e-3)
    wrong = step_errors({"train_step": program}, steps | {f"train_step.0/{RESTART}": np.ones((), np.float32)})
    assert wrong[SECOND] < 1e-6  # begun anew, nothing is inherited


def test_what_a_step_is_not_given_is_what_eager_pytorch_had_or_made_of_it() -> None:
    seen: list[dict[str, float]] = []

    def program(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append({name: float(value[0]) for name, value in given.items()})
        return {"new.w": given["w"] * 2, "probabilities": given["w"]}

    one = {name: np.full(1, value, np.float32) for name, value in (("1", 1), ("2", 2), ("4", 4), ("9", 9))}
    steps = {
        "start/w": one["1"],
        "predict.0/in/x": one["9"],
        "predict.0/out/probabilities": one["1"],
        "train_step.0/in/x": one["4"],
        "train_step.0/in/anchor": one["9"],
        "train_step.0/out/new.w": one["2"],
        f"train_step.0/{RESTART}": np.ones((), np.float32),
        "train_step.1/in/x": one["2"],
        "train_step.1/out/new.w": one["4"],
    }
    errors = step_errors({"train_step": program, "predict": program}, steps)
    assert seen == [{"w": 1, "x": 9}, {"w": 1, "x": 4, "anchor": 9}, {"w": 2, "x": 2, "anchor": 9}]
    assert max(errors.values()) == 0.0

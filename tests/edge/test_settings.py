"""The owner's choices: the edges of what is taken, field by field."""

from typing import Any

import pytest

from core.errors import InvalidInput
from edge.settings import DeviceSettings

COUNTS = ("checkpoint_steps", "check_seconds", "pause_seconds", "max_steps", "max_seconds")


@pytest.mark.parametrize("name", COUNTS)
def test_zero_is_taken_and_less_is_refused_by_name(name: str) -> None:
    choice: dict[str, Any] = {name: 0}
    assert getattr(DeviceSettings(**choice), name) == 0
    choice[name] = -1
    with pytest.raises(InvalidInput, match=f"{name} is -1"):
        DeviceSettings(**choice)


@pytest.mark.parametrize(
    ("fraction", "taken"), [(0.0, True), (0.999, True), (1.0, False), (-0.001, False), (float("nan"), False)]
)
def test_a_hold_out_is_from_none_to_below_all(fraction: float, taken: bool) -> None:
    if taken:
        assert DeviceSettings(holdout_fraction=fraction).holdout_fraction == fraction
        return
    with pytest.raises(InvalidInput, match="holdout_fraction"):
        DeviceSettings(holdout_fraction=fraction)


def test_nothing_is_held_out_or_reported_unless_the_owner_says_so() -> None:
    settings = DeviceSettings()
    assert (settings.holdout_fraction, settings.allow_evaluation) == (0.0, False)

"""Hours of the day: read strictly, and compared across midnight."""

import pytest

from fedrela.core.errors import InvalidTask
from fedrela.core.hours import parse_hours, within


def test_hours_are_minutes_of_the_day():
    assert parse_hours("22:00-06:30", "eligibility.hours", InvalidTask) == (1320, 390)


@pytest.mark.parametrize(
    "hours", ["22-06", "24:00-06:00", "22:00", "22:60-06:00", "22:00-06:00 ", "٢2:00-06:00", "22:00-22:00"]
)
def test_malformed_hours_are_an_error_that_names_the_key(hours):
    with pytest.raises(InvalidTask, match=r"eligibility\.hours"):
        parse_hours(hours, "eligibility.hours", InvalidTask)


@pytest.mark.parametrize(
    ("time", "start", "end", "expected"),
    [
        (6.5, 6.5, 9, True), (9, 6.5, 9, False), (23, 22, 6, True), (0, 22, 6, True), (6, 22, 6, False),
        (12, 22, 6, False),
    ],
)  # fmt: skip
def test_hours_begin_on_their_first_minute_and_may_cross_midnight(time, start, end, expected):
    assert within(time, start, end) is expected

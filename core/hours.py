"""Hours of the day, as tasks and scenarios write them: "22:00-06:00" crosses midnight.

>>> start, end = parse_hours("22:00-06:30", "awake", InvalidInput)
>>> (start, end), within(23 * 60, start, end), within(12 * 60, start, end)
((1320, 390), True, False)
"""

import re

from fedrela.core.errors import InvalidInput


def parse_hours(hours: str, key: str, error: type[InvalidInput]) -> tuple[int, int]:
    """ "22:00-06:00" as minutes of the day, from and until. Raises `error`, naming `key`, for anything else."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", hours, re.ASCII)
    if match is None:
        raise error(f"{key} is {hours!r}", remedy='write it like "22:00-06:00"')
    start_hour, start_minute, end_hour, end_minute = map(int, match.groups())
    start, end = start_hour * 60 + start_minute, end_hour * 60 + end_minute
    if start == end:
        raise error(f"{key} is {hours!r}, which is no time at all", remedy="leave it empty for any time")
    return start, end


def within(time: float, start: float, end: float) -> bool:
    """Is a time of the day in the hours from `start` until `end`? All three in one unit."""
    return start <= time < end if start <= end else time >= start or time < end

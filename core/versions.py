"""Versions of clients and of runtimes, as numbers to compare; 1.2 and 1.2.0 are the same version.

>>> parse("1.10.2") > parse("1.9")
True
>>> leading_numbers("1.4.1+cpu")
(1, 4, 1)
"""

import re
from functools import lru_cache

from fedrela.core.errors import InvalidInput
from fedrela.core.protocol.limits import VERSION_PATTERN

_VERSION = re.compile(VERSION_PATTERN, re.ASCII)
_LEADING = re.compile(r"\d+(?:\.\d+)*")


@lru_cache(maxsize=4096)
def parse(version: str) -> tuple[int, ...]:
    """The numbers of a version that somebody else sent. Raises InvalidInput for what is none."""
    if _VERSION.fullmatch(version) is None:
        raise InvalidInput(f"version {version[:40]!r} is not of the form 1.2.3", remedy="send dotted numbers")
    return leading_numbers(version)


def leading_numbers(version: str) -> tuple[int, ...]:
    """The numbers that an installed package's version begins with; () of one that has none, such as "nightly"."""
    match = _LEADING.match(version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)

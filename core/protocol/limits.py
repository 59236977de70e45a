"""What a field may hold, written beside its type and checked by `fedrela.core.strict`.

    epochs: Annotated[int, Between(1, 10_000)] = 5

The limits belong to the protocol: every client refuses exactly what lies outside of them, and the conformance vectors
are made from them.

    >>> Between(0.0, 0.5, below=True).holds(0.5), Text("[a-z]{1,3}", "a short word").holds("abc")
    (False, True)
"""

import re
from collections.abc import Sized
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Protocol

SAFE_WHOLE = 2**53 - 1  # RFC 7493: what every JSON reader keeps exactly


class Limit(Protocol):
    """What is asked of a value beyond its type."""

    def holds(self, value: object) -> bool:
        """Whether a value of the right type lies within."""
        ...

    def remedy(self) -> str:
        """What to do where it doesn't."""
        ...


@dataclass(frozen=True)
class Between:
    """A number from `least` to `most`; `above`: not `least` itself; `below`: not `most` itself."""

    least: float
    most: float
    above: bool = False
    below: bool = False

    def holds(self, value: object) -> bool:
        """See `Limit`."""
        assert isinstance(value, int | float)
        low = self.least < value if self.above else self.least <= value
        return low and (value < self.most if self.below else value <= self.most)

    def remedy(self) -> str:
        """See `Limit`."""
        least = f"above {self.least:g}" if self.above else f"from {self.least:g}"
        return f"use a number {least} {'to below' if self.below else 'to'} {self.most:.17g}"


@dataclass(frozen=True)
class Text:
    """A text that matches a regular expression as a whole. The expression means the same in every language."""

    pattern: str
    what: str

    def holds(self, value: object) -> bool:
        """See `Limit`."""
        assert isinstance(value, str)
        return _compiled(self.pattern).fullmatch(value) is not None

    def remedy(self) -> str:
        """See `Limit`."""
        return f"use {self.what}"


@dataclass(frozen=True)
class Length:
    """A list or a table of at least so many items and at most so many; a text of so many Unicode characters."""

    least: int
    most: int

    def holds(self, value: object) -> bool:
        """See `Limit`."""
        assert isinstance(value, Sized)
        return self.least <= len(value) <= self.most

    def remedy(self) -> str:
        """See `Limit`."""
        return f"let it be {self.least} to {self.most} long"


@dataclass(frozen=True)
class Exactly:
    """One number and no other."""

    number: int
    otherwise: str

    def holds(self, value: object) -> bool:
        """See `Limit`."""
        return value == self.number

    def remedy(self) -> str:
        """See `Limit`."""
        return self.otherwise


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


# Spelled without look-arounds and classes such as \w, so that every language's expressions read them alike.
VERSION_PATTERN = (
    r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}"
    r"([+-][A-Za-z0-9.+-]{1,40}|\.?[A-Za-z][A-Za-z0-9.+-]{0,40})?"
)
_NAME_PATTERN = r"[._-]*[A-Za-z0-9][A-Za-z0-9._-]*"

Sha256 = Annotated[str, Text("[0-9a-f]{64}", "64 lower-case hexadecimal digits")]
PublicKey = Annotated[str, Text("[0-9a-f]{64}", "an Ed25519 key of 64 lower-case hexadecimal digits")]
Signature = Annotated[str, Text("[0-9a-f]{128}", "an Ed25519 signature of 128 lower-case hexadecimal digits")]
Token = Annotated[str, Text("[!-~]{1,512}", "1 to 512 printable characters without spaces")]
Id = Annotated[str, Text("[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, '-' and '_'")]
Name = Annotated[str, Text(_NAME_PATTERN, "letters, digits, '-', '_' and '.'"), Length(1, 100)]
Version = Annotated[str, Text(VERSION_PATTERN, "dotted numbers such as 1.2.3")]
VersionOrNone = Annotated[str, Text(f"|{VERSION_PATTERN}", "dotted numbers such as 1.2.3, or nothing")]
Feature = Annotated[str, Text("[a-z0-9-]{1,64}", "a word of small letters, digits and '-'")]
Features = Annotated[tuple[Feature, ...], Length(0, 64)]
Natural = Annotated[int, Between(0, SAFE_WHOLE)]
MOST_MILLIONTHS = 10**12  # a norm of a million
Millionths = Annotated[int, Between(0, MOST_MILLIONTHS)]

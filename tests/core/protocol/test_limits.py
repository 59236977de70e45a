"""Limits hold at both ends, and say what to do beyond them."""

import dataclasses
from typing import Annotated

import pytest

from fedrela.core import strict
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol.limits import Between, Exactly, Length, Text, Version


@pytest.mark.parametrize(
    ("limit", "inside", "outside"),
    [
        (Between(1, 3), (1, 2.5, 3), (0.999, 3.001)),
        (Between(0, 0.5, below=True), (0, 0.499), (0.5, -0.1)),
        (Between(0, 1, above=True), (5e-324, 1), (0, 1.1)),
        (Text("[a-z]{1,3}", "a word"), ("a", "abc"), ("", "abcd", "a\n", "ä", "٣")),
        (Length(1, 2), ("a", "🐦🐦", [1], {"a": 1, "b": 2}), ("", "abc", [], [1, 2, 3])),
        (Exactly(1, "update"), (1,), (0, 2)),
    ],
)
def test_ends(limit: Between | Text | Length | Exactly, inside: tuple, outside: tuple) -> None:
    assert all(limit.holds(value) for value in inside)
    assert not any(limit.holds(value) for value in outside)
    assert limit.remedy()


@dataclasses.dataclass(frozen=True)
class Row:
    rates: Annotated[dict[Annotated[str, Text("[a-z]+", "small letters")], Version], Length(0, 2)]
    share: Annotated[float, Between(0, 1)] | None = None


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"rates": {"A": "1"}}, "small letters"),
        ({"rates": {"a": "x"}}, r"rates\.a is 'x'"),
        ({"rates": {"a": "1", "b": "1", "c": "1"}}, "0 to 2 long"),
        ({"rates": {}, "share": 1.5}, "share is 1.5; use a number from 0 to 1"),
        ({"rates": {}, "share": True}, "share is a bool"),
    ],
)
def test_a_field_s_limits_are_checked_wherever_it_was_made(values: dict, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        strict.build(Row, values, InvalidInput)
    with pytest.raises(InvalidInput, match=says):
        strict.check(Row(**values), InvalidInput)
    assert strict.build(Row, {"rates": {"a": "1.2"}, "share": 1}, InvalidInput) == Row({"a": "1.2"}, 1.0)

"""The Kotlin client gives Python's verdict on every body."""

from fedrela.conformance.differential.__main__ import compare
from tests.android.device import KOTLIN, line

pytestmark = KOTLIN

CASES = 20_000


def test_python_and_kotlin_give_one_verdict() -> None:
    tally = compare(range(CASES), 0, {"android": line("verdicts")})
    assert tally.cases == CASES
    assert [example.text() for example in tally.examples] == []
    assert (tally.differences, tally.foreign) == (0, 0)

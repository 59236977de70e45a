"""fedrela.core.versions: numbers to compare."""

import pytest

from fedrela.core.errors import InvalidInput
from fedrela.core.versions import leading_numbers, parse


@pytest.mark.parametrize("text", ["", "x", "1..2", "1.2.3.4.5.6.7", "-1", "1" * 11, "1.2 or so!"])
def test_a_malformed_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="version"):
        parse(text)


def test_versions_compare_by_number() -> None:
    assert parse("1.10") > parse("1.9.9")
    assert parse("1.2.0") == parse("1.2")
    assert parse("0.1.0.dev1") == parse("0.1.0")
    assert leading_numbers("1.4.1+cpu") < leading_numbers("1.10.0rc1")


@pytest.mark.parametrize(
    ("version", "key"),
    [
        ("1.32.0", (1, 32)),
        ("1.4.1+cpu", (1, 4, 1)),
        ("1.4.1+cpu.7", (1, 4, 1)),
        ("1.10.0rc1", (1, 10)),
        ("2.dev3", (2,)),
        ("", ()),
        ("nightly", ()),
    ],
)
def test_an_installed_version_is_its_leading_numbers(version: str, key: tuple[int, ...]) -> None:
    assert leading_numbers(version) == key

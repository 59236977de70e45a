"""JSON that two readers could take differently is refused, also where nobody looks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol import json_text

SAFE = 2**53 - 1
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@given(VALUES)
def test_what_is_written_is_read_as_it_was(value: object) -> None:
    body = json_text.encode(value)
    assert json_text.parse(body) == value
    assert json_text.encode(json_text.parse(body)) == body


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[1,]",
        "{} {}",
        "// c\n1",
        "01",
        "+1",
        "1.",
        ".5",
        "0x1",
        "NaN",
        "-Infinity",
        '"\t"',
        '{"a":1,"a":1}',
        '{"a":1,"\\u0061":1}',
        '[{"x":{"a":1,"a":2}}]',
        '"\\ud800"',
        '{"\\udc00":1}',
        "1e999",
        "-1e999",
        str(2**53),
        str(-(2**53)),
        "0." + "1" * 63,
        "9" * 65,
        nested(65),
        "[" * 100_000,
        '{"a":' * 65 + "1" + "}" * 65,
        "\ufeff{}",
        "\u00a0{}",
        "[" + "0," * 149_999 + "0,0]",
        '"' + "," * 150_001 + '"',
        '"' + "x" * 3_999_999 + '"',
    ],
)
def test_what_could_be_taken_differently_is_refused(text: str) -> None:
    with pytest.raises(InvalidMessage):
        json_text.parse(text)
    with pytest.raises(InvalidMessage):
        json_text.parse(text.encode("utf-8"))


@pytest.mark.parametrize(
    "body", ["{}".encode("utf-16"), "{}".encode("utf-16-le"), b'"\xe9"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xc3"']
)
def test_only_utf_8_is_read(body: bytes) -> None:
    with pytest.raises(InvalidMessage):
        json_text.parse(body)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (nested(64), json.loads(nested(64))),
        ("[" + "[]," * 100 + "[]]", [[]] * 101),
        ('"' + "[{" * 200 + '"', "[{" * 200),
        ("[" + "0," * 149_999 + "0]", [0] * 150_000),
        ('"' + "," * 150_000 + '"', "," * 150_000),
        ('"' + "x" * 3_999_998 + '"', "x" * 3_999_998),
        ("0." + "1" * 62, float("0." + "1" * 62)),
        (str(SAFE), SAFE),
        ("-0", 0),
        ('"\\ud83d\\udc26"', "🐦"),
        (' \t\r\n{"a" : 1e2} \n', {"a": 100.0}),
    ],
)
def test_what_is_unmistakable_is_read(text: str, value: object) -> None:
    assert json_text.parse(text) == value
    assert type(json_text.parse("1e2")) is float

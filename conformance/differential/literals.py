"""JSON that no encoder writes: numbers, texts and depths as literals, and bytes that are damaged on their way.

A literal stands in a tree of plain values as a marked text, and `render` writes it as it is.

    >>> render({"a": literal("1e2")})
    '{"a": 1e2}'
"""

import json
import re
from random import Random
from typing import Any

_MARK = "\ue000"
_MARKED = re.compile(f'"{_MARK}([0-9a-f]*){_MARK}"')


def literal(text: str) -> str:
    """A text that `render` writes without quotes."""
    return f"{_MARK}{text.encode('utf-8', 'surrogatepass').hex()}{_MARK}"


def render(tree: Any, *, ensure_ascii: bool = False, separators: tuple[str, str] = (", ", ": ")) -> str:
    """The JSON text of a tree with its literals."""
    text = json.dumps(tree, ensure_ascii=ensure_ascii, separators=separators)
    if ensure_ascii:
        text = text.replace("\\ue000", _MARK)
    if _MARK not in text:
        return text
    return _MARKED.sub(lambda match: bytes.fromhex(match[1]).decode("utf-8", "surrogatepass"), text)


_PLAIN_NUMBERS = """
    0 1 -1 -0 0.0 -0.0 1.0 2.0 1e0 1e2 1E+2 1e-2 0.5 64.0 1000000 2147483648 18446744073709551615 18446744073709551616
    9007199254740991 9007199254740992 9007199254740993 -9007199254740991 -9007199254740992 9007199254740991.0
    9007199254740993.0 1e999 -1e999 1e308 1.7976931348623157e308 1.7976931348623159e308 5e-324 1e-400 1e+0001
    00 01 -01 +1 1. .5 - --1 -.5 1e 1e+ 1.e1 0x10 1_000 1,5 ٣ 1٣ NaN -NaN nan Infinity -Infinity inf
    true false null True None TRUE nul undefined
"""
_LONGEST = "0." + "0" * 61 + "1"  # 64 characters
NUMBERS = (
    *_PLAIN_NUMBERS.split(),
    *(_LONGEST, _LONGEST + "1", "1." + "0" * 62, "1." + "0" * 63, "0." + "3" * 5000),
    *("1" * 16, "1" * 17, "1" * 64, "1" * 65, "-" + "1" * 64, "9" * 5000, "1 2"),
    *("1e" + "0" * 61 + "1", "1e" + "0" * 62 + "1", "1e" + "9" * 40, "0e" + "9" * 40),
)
_ESCAPED_TEXTS = r"""
    "\u0061" "a\/b" "\u0000" "\b\f\n\r\t\"\\" "\ud83d\ude00" "\udbff\udfff" "😀" ""
    "\ud800" "\udfff" "\uD83D" "\ude00\ud83d" "\ud83d\ud83d\ude00"
    "\x41" "\u00zz" "\u+123" "\u12" "\U00000041" "\a" "\u٣٣٣٣" "\" "abc 'a' a
"""
TEXTS = (
    *_ESCAPED_TEXTS.split(),
    *('"\x00"', '"\t"', '"\n"', '"\x1f"', '"\x7f"', '"\u2028"', '"\ufeff"', '"\ufffe"', '"\U0010ffff"'),
    *('"\ud800"', '"\\ud83d\ude00"', '"\\u 123"', '"\\\n"', '" "'),
)
_CHARACTERS = '"\\{}[]:,0-+.eE \n\t\x00\x1f\x7f\x80\xa0/u'.encode("latin-1")
_SEQUENCES = (
    *(b"\xff", b"\xf8", b"\x80", b"\x85", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xf0\x82\x82\xac"),  # no UTF-8
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf4\x90\x80\x80", b"\xe2\x82"),  # nor these
    *(b"\xf0\x9f\x98\x80", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\xc2\xa0", b"\xed\x9f\xbf"),
    *(b"/**/", b"//", b"#", b"NaN", b"1e999", b"\\u0000", b"\\ud800", b"\r\n", b"\x0b", b"\x0c"),
)
_TAILS = (
    *(b" ", b"\n", b"\t\r\n ", b"\0", b"x", b"{}", b",", b"//", b"]", b"}"),
    *(b"\xef\xbb\xbf", b"\x1a", b"\xa0", b"\x0b", b"\xc2\xa0"),
)


def nested(draw: Random) -> str:
    """Arrays, objects or both within each other, about as deep as is allowed and far beyond."""
    depth = draw.choice((1, 2, 58, 59, 60, 61, 62, 63, 64, 65, 66, 100, 2000, 100_000 if draw.random() < 0.02 else 500))
    opening, closing = draw.choice((("[", "]"), ('{"a":', "}"), ('[{"b":', "}]"), ("[0,", "]")))
    inner = draw.choice(("", "0", "{}", "[]", '"["')) if opening == "[" else draw.choice(("0", "{}", "[]", '"{["'))
    return opening * depth + inner + closing * depth


def encoded(text: str, draw: Random) -> bytes:
    """The text in another encoding, or with a mark before it."""
    body = text.encode("utf-8", "surrogatepass")
    way = draw.randrange(8)
    if way == 0:
        return b"\xef\xbb\xbf" + body
    if way == 1:
        return text.encode("utf-8", "replace").decode().encode("latin-1", "replace")
    encodings = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-7")
    return text.encode(encodings[way - 2], "replace")


def damaged(body: bytes, draw: Random) -> bytes:
    """One fault in the bytes themselves: flipped, lost, put in, cut, said twice, said before or behind."""
    at = draw.randrange(len(body) + 1)
    before, behind = body[:at], body[at:]
    flipped = bytes([behind[0] ^ (1 << draw.randrange(8))]) + behind[1:] if behind else b""
    return draw.choice(
        (
            before + flipped,
            before + behind[1:],
            before,
            before + body[max(0, at - draw.randrange(1, 20)) :],
            before + bytes([draw.choice(_CHARACTERS)]) + behind,
            before + draw.choice(_SEQUENCES) + behind,
            before + bytes([draw.randrange(256)]) + behind[1:],
            body + draw.choice(_TAILS),
            draw.choice(_TAILS) + body,
        )
    )

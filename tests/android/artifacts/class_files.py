"""What a class file of the JVM says of itself."""

import struct

# How many bytes a constant has after its tag.
_SIZES = {2: (7, 8, 16, 19, 20), 3: (15,), 4: (3, 4, 9, 10, 11, 12, 17, 18), 8: (5, 6)}
_SIZE = {tag: size for size, tags in _SIZES.items() for tag in tags}
_TEXT, _WIDE = 1, (5, 6)  # a number of 64 bits takes two places


def version(body: bytes) -> int:
    """The version of the format: 52 is Java 8's."""
    return int(struct.unpack_from(">H", body, 6)[0])


def members(body: bytes) -> set[str]:
    """The names of a class's fields and methods."""
    texts, at = _texts(body)
    at += 6
    at += 2 + 2 * _short(body, at)  # interfaces
    names = set()
    for _ in ("fields", "methods"):
        count, at = _short(body, at), at + 2
        for _ in range(count):
            names.add(texts[_short(body, at + 2)])
            attributes, at = _short(body, at + 6), at + 8
            for _ in range(attributes):
                at += 6 + struct.unpack_from(">I", body, at + 2)[0]
    return names


def _texts(body: bytes) -> tuple[dict[int, str], int]:
    """The texts among a class's constants, by number, and where the constants end."""
    texts: dict[int, str] = {}
    number, at = 1, 10
    while number < _short(body, 8):
        tag, at = body[at], at + 1
        if tag == _TEXT:
            length = _short(body, at)
            texts[number] = body[at + 2 : at + 2 + length].decode("utf-8", "replace")
            at += 2 + length
        else:
            at += _SIZE[tag]
        number += 2 if tag in _WIDE else 1
    return texts, at


def _short(body: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", body, at)[0])

"""Reads a protobuf message field by field: what a device needs of an ONNX file, without the onnx package.

>>> [(number, content) for number, _, content in fields(bytes([10, 2, 104, 105]))]
[(1, b'hi')]
"""

from collections.abc import Iterator

from fedrela.core.errors import InvalidBundle

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types


def fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Every field of a protobuf message: its number, all its bytes, and the content if it is length-delimited."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        number, wire = key >> 3, key & 7
        content = b""
        if wire == VARINT:
            _, at = _read_varint(message, at)
        elif wire == DELIMITED:
            length, at = _read_varint(message, at)
            content = message[at : at + length]
            at += length
        elif wire in (FIXED64, FIXED32):
            at += 8 if wire == FIXED64 else 4
        else:
            raise InvalidBundle("the program is not an ONNX file", remedy="export the model again")
        if at > len(message):
            raise InvalidBundle("the program's file is cut short", remedy="download it again")
        yield number, message[start:at], content


def varint(raw: bytes) -> int:
    """The number in a field's bytes, key included; 0 in a field of another wire type."""
    key, at = _read_varint(raw, 0)
    return _read_varint(raw, at)[0] if key & 7 == VARINT else 0


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise InvalidBundle("the program's file is cut short", remedy="download it again")

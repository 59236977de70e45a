"""Reads a protobuf message field by field: what a device needs of an ONNX file, without the onnx package.

Nothing is copied: what is read are views of the message.

>>> [(number, bytes(content)) for number, _, content in fields(bytes([10, 2, 104, 105]))]
[(1, b'hi')]
"""

from collections.abc import Iterator

from fedrela.core.errors import InvalidBundle

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5  # wire types
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}


def fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Every field of a protobuf message: its number, all its bytes, and the content if it is length-delimited."""
    message = memoryview(message)
    nothing, at, end = message[:0], 0, len(message)
    while at < end:
        start = at
        key, at = (message[at], at + 1) if message[at] < 0x80 else _read_varint(message, at)
        kind, content = key & 7, nothing
        if kind == VARINT:
            at = at + 1 if at < end and message[at] < 0x80 else _read_varint(message, at)[1]
        elif kind == DELIMITED:
            length, at = _read_varint(message, at)
            content = message[at : at + length]
            at += length
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            raise InvalidBundle("the program is not an ONNX file", remedy="export the model again")
        if at > end:
            raise InvalidBundle("the program's file is cut short", remedy="download it again")
        yield key >> 3, message[start:at], content


def wire_type(raw: memoryview) -> int:
    """How a field's content is written."""
    return raw[0] & 7


def text(content: memoryview) -> str:
    """A field's content as a text. Raises UnicodeDecodeError."""
    return str(content, "utf-8")


def varint(raw: memoryview) -> int:
    """The number in a field's bytes, key included; 0 in a field of another wire type."""
    key, at = _read_varint(raw, 0)
    return _read_varint(raw, at)[0] if key & 7 == VARINT else 0


def varints(content: memoryview) -> Iterator[int]:
    """The numbers of a packed field."""
    at = 0
    while at < len(content):
        value, at = _read_varint(content, at)
        yield value


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise InvalidBundle("the program's file is cut short", remedy="download it again")

"""Writes protobuf fields, so that a case can hold what no library writes.

>>> delimited(1, b"hi"), varint(3, 300)
(b'\\n\\x02hi', b'\\x18\\xac\\x02')
"""


def number(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def varint(field: int, value: int) -> bytes:
    """A field that holds a whole number."""
    return number(field << 3) + number(value)


def delimited(field: int, content: bytes) -> bytes:
    """A field that holds bytes, a text or a message."""
    return number(field << 3 | 2) + number(len(content)) + content


def fixed32(field: int, content: bytes = bytes(4)) -> bytes:
    """A field that holds four bytes."""
    return number(field << 3 | 5) + content

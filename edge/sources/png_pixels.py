"""How many bytes the pixels of a PNG are, and whether its packed stream holds them.

A stream may end properly and too early: Pillow leaves the rows empty that never came. What comes after the last row is
nobody's pixel.

    >>> unpacked_bytes(Header(11, 9, 8, 3, interlaced=False)), unpacked_bytes(Header(11, 9, 1, 1, interlaced=True))
    (306, 42)
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by color type
_HEADER_BYTES = 13
_WHOLE = ((0, 0, 1, 1),)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PACKED_BYTES, _UNPACKED_BYTES = 1 << 14, 1 << 16  # at a time, and let go


@dataclass(frozen=True)
class Header:
    """What IHDR tells of the rows."""

    width: int
    height: int
    depth: int  # bits per sample
    channels: int
    interlaced: bool


def is_png(body: bytes) -> bool:
    """Whether a file begins as a PNG."""
    return body.startswith(SIGNATURE)


def chunks(body: bytes) -> Iterator[int]:
    """Where the chunks before the end begin."""
    at = len(SIGNATURE)
    while at + 8 <= len(body) and body[at + 4 : at + 8] != b"IEND":
        yield at
        at += 12 + int.from_bytes(body[at : at + 4])


def check(body: bytes) -> None:
    """Raise ValueError for two headers, colors after the pixels, or a packed stream that ends before the last pixel.

    What is malformed otherwise is left to the decoder.
    """
    kinds = [body[at + 4 : at + 8] for at in chunks(body)]
    if b"IDAT" in kinds and {b"PLTE", b"tRNS"} & set(kinds[kinds.index(b"IDAT") :]):
        raise ValueError("its colors come after its pixels")
    headers = [_data(body, at) for at in chunks(body) if body[at + 4 : at + 8] == b"IHDR"]
    if len(headers) > 1:
        raise ValueError("it has two headers")
    header = _header(headers[0]) if headers else None
    if header is not None and not _holds(body, unpacked_bytes(header)):
        raise ValueError("its pixels are cut short")


def unpacked_bytes(header: Header) -> int:
    """Of all rows, each with the byte that names its filter; a pass of no column has no row."""
    total = 0
    for left, top, step_x, step_y in _ADAM7 if header.interlaced else _WHOLE:
        columns, rows = -((left - header.width) // step_x), -((top - header.height) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * header.channels * header.depth + 7) // 8)
    return total


def _data(body: bytes, at: int) -> bytes:
    return body[at + 8 : at + 8 + int.from_bytes(body[at : at + 4])]


def _header(data: bytes) -> Header | None:
    if len(data) < _HEADER_BYTES or data[9] not in _CHANNELS:
        return None
    width, height = int.from_bytes(data[:4]), int.from_bytes(data[4:8])
    return Header(width, height, data[8], _CHANNELS[data[9]], bool(data[12]))


def _holds(body: bytes, needed: int) -> bool:
    try:
        for length in _unpacked(body):
            needed -= length
            if needed <= 0:
                return True
    except zlib.error:  # what came before the fault isn't told: the decoder knows
        return True
    return False


def _unpacked(body: bytes) -> Iterator[int]:
    """The lengths of the pieces that the packed stream gives, up to its end."""
    unpacker = zlib.decompressobj()
    for at in chunks(body):
        data = _data(body, at) if body[at + 4 : at + 8] == b"IDAT" else b""
        for start in range(0, len(data), _PACKED_BYTES):
            packed = data[start : start + _PACKED_BYTES]
            while packed and not unpacker.eof:
                yield len(unpacker.decompress(packed, _UNPACKED_BYTES))
                packed = unpacker.unconsumed_tail
    yield len(unpacker.flush())

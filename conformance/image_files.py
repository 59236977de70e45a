"""Picture files made by hand, byte by byte, so that they are the same with every version of zlib.

>>> png(1, 1, 8, 0, b"\\0\\x7f")[:4]
b'\\x89PNG'
"""

import struct
import zlib

ORIENTATION, SHORT = 0x0112, 3
SCAN_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def png(
    width: int,
    height: int,
    depth: int,
    color: int,
    rows: bytes,
    *,
    before: tuple[bytes, ...] = (),
    after: tuple[bytes, ...] = (),
    interlaced: bool = False,
) -> bytes:
    """A PNG of filtered `rows`, with chunks before and after its pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced))
    pixels = chunk(b"IDAT", stored(rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join((chunk(b"IHDR", header), *before, pixels, *after, chunk(b"IEND", b"")))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def stored(data: bytes) -> bytes:
    """At most 65,535 bytes as a zlib stream that compresses nothing."""
    block = struct.pack("<BHH", 1, len(data), len(data) ^ 0xFFFF)
    return b"\x78\x01" + block + data + struct.pack(">I", zlib.adler32(data))


def exif(orientation: int, *, order: str = "<", kind: int = SHORT, count: int = 1, before: int = 0) -> bytes:
    """An EXIF block whose first directory holds `before` other entries and an orientation."""
    entries = [struct.pack(order + "HHIHH", 0x0100 + number, SHORT, 1, 9, 0) for number in range(before)]
    entries.append(struct.pack(order + "HHIHH", ORIENTATION, kind, count, orientation, 0))
    start = (b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 8)
    return start + struct.pack(order + "H", len(entries)) + b"".join(entries) + struct.pack(order + "I", 0)


def jpeg_header(width: int, height: int, components: int, *, bits: int = 8) -> bytes:
    """A JPEG that ends where its pixels would begin."""
    described = b"".join(bytes((number + 1, 0x11, 0)) for number in range(components))
    frame = struct.pack(">BHHB", bits, height, width, components) + described
    scan = bytes((components, *(value for number in range(components) for value in (number + 1, 0)), 0, 63, 0))
    segments = (
        b"\xff\xc0" + struct.pack(">H", 2 + len(frame)) + frame,
        b"\xff\xda" + struct.pack(">H", 2 + len(scan)) + scan,
    )
    return b"\xff\xd8" + b"".join(segments) + b"\xff\xd9"

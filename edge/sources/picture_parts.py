"""How many parts a picture's file has: more than any camera writes are refused before Pillow walks through them.

Parts are a PNG's chunks, a JPEG's segments before its pixels, a GIF's blocks before its first picture, the entries of a
TIFF's first directory. A file of 16 MB can hold four million, and each costs microseconds.

    >>> check(b"II*\\0" + (8).to_bytes(4, "little") + (3).to_bytes(2, "little"))
    >>> check(b"II*\\0" + (8).to_bytes(4, "little") + (20_001).to_bytes(2, "little"))
    Traceback (most recent call last):
    ...
    ValueError: it has more than 20000 parts
"""

import struct
from collections.abc import Iterator
from itertools import islice

from fedrela.edge.sources import png_pixels
from fedrela.edge.sources.jpeg_segments import EXIF, is_jpeg, segments

MOST_PARTS = 20_000
MOST_EXIF_PARTS = 20  # of a JPEG; the standard knows one

_GIF = (b"GIF87a", b"GIF89a")
_TIFF = {b"II": "<", b"MM": ">"}
_EXTENSION = 0x21


def check(body: bytes) -> None:
    """Raise ValueError for too many parts. What is malformed is left to the decoder."""
    if is_jpeg(body):
        exif = sum(body[at + 4 : at + 10] == EXIF for at in islice(segments(body), MOST_PARTS))
        if exif > MOST_EXIF_PARTS:
            raise ValueError(f"it has more than {MOST_EXIF_PARTS} EXIF blocks")
    if body[:2] in _TIFF and body[2:4] in (b"*\0", b"\0*"):
        _check_directory(body, _TIFF[body[:2]])
    elif sum(1 for _ in islice(_parts(body), MOST_PARTS + 1)) > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} parts")


def _parts(body: bytes) -> Iterator[int]:
    if png_pixels.is_png(body):
        return png_pixels.chunks(body)
    if is_jpeg(body):
        return segments(body)
    return _blocks(body) if body.startswith(_GIF) else iter(())


def _blocks(body: bytes) -> Iterator[int]:
    """A GIF's extensions before its first picture, and the pieces that they are cut into."""
    flags = body[10] if len(body) > 10 else 0
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while at < len(body) and body[at] == _EXTENSION:
        yield at
        at += 2
        while at < len(body) and body[at]:
            yield at
            at += 1 + body[at]
        at += 1


def _check_directory(body: bytes, order: str) -> None:
    try:
        (directory,) = struct.unpack_from(order + "I", body, 4)
        (entries,) = struct.unpack_from(order + "H", body, directory)
    except struct.error:  # it points outside of itself
        return
    if entries > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} parts")

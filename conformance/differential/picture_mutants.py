"""Pictures whose headers lie: sizes, depths, colors, lengths, orientations, in each format that a device reads.

>>> from random import Random
>>> mutant(Random(3)) == mutant(Random(3))
True
"""

import io
import re
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from random import Random

from PIL import Image

from fedrela.conformance import image_cases, image_files
from fedrela.conformance.differential import literals

_HEAD = 200  # bytes in which most headers lie
_NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 32_767, 65_535, 65_536, 10_000_000, 2**31 - 1, 2**31, 2**32 - 1)
_PNG_CHUNKS = b"IHDR PLTE IDAT IEND tRNS eXIf iCCP zTXt iTXt acTL fcTL gAMA".split()
MODES = {
    **dict.fromkeys(("GIF", "BMP", "TIFF", "PNG"), ("L", "RGB", "P", "1", "RGBA")),
    **{"JPEG": ("L", "RGB"), "WEBP": ("L", "RGB", "RGBA"), "PPM": ("L", "RGB", "1")},
}


def mutant(draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """A picture's file, and what was done to it."""
    return changed(draw.choice(good_pictures()), draw)


def changed(body: bytes, draw: Random) -> tuple[bytes, tuple[str, ...]]:
    """A picture's file with a few things changed, and what was done to it."""
    changes = []
    for _ in range(draw.choices((0, 1, 2, 4), (4, 60, 24, 12))[0]):
        change = draw.choice(_CHANGES)
        body = change(body, draw)
        changes.append(change.__name__.strip("_"))
    return (_checksums(body) if draw.random() < 0.8 else body), tuple(changes)


@lru_cache(maxsize=1)
def good_pictures() -> tuple[bytes, ...]:
    """Small ones: the vectors' PNG, and one of every other format and mode."""
    wide = Image.linear_gradient("L").resize((16, 12))
    made = [_saved(wide.convert(mode), form) for form, modes in MODES.items() for mode in modes]
    made += [_saved(wide.convert("RGB"), "TIFF", compression=way) for way in ("tiff_lzw", "tiff_deflate", "packbits")]
    return (*image_cases.picture_bodies().values(), *made)


def _saved(image: Image.Image, form: str, **options: str) -> bytes:
    file = io.BytesIO()
    with_exif = {"exif": b"Exif\0\0" + image_files.exif(6)} if form in ("JPEG", "WEBP", "PNG") else {}
    image.save(file, form, **options, **with_exif)
    return file.getvalue()


def _checksums(body: bytes) -> bytes:
    """The checksums of a PNG's chunks mended, so that what they protect is looked at."""
    if not body.startswith(b"\x89PNG\r\n\x1a\n"):
        return body
    parts, at = [body[:8]], 8
    while at + 12 <= len(body):
        (length,) = struct.unpack_from(">I", body, at)
        end = at + 8 + length
        if end + 4 > len(body):
            break
        parts.append(body[at:end] + struct.pack(">I", zlib.crc32(body[at + 4 : end])))
        at = end + 4
    return b"".join(parts) + body[at:]


def _number(body: bytes, draw: Random) -> bytes:
    """A number of 1, 2 or 4 bytes in the head, in one order or the other."""
    at, value = draw.randrange(min(len(body), _HEAD) + 1), draw.choice(_NUMBERS)
    form = draw.choice(("B", "<H", ">H", "<I", ">I"))
    limit = 256 ** struct.calcsize(form)
    written = struct.pack(form, value % limit)
    return body[:at] + written + body[at + len(written) :]


def _png_header(body: bytes, draw: Random) -> bytes:
    """Size, depth, colors or methods of a PNG."""
    if body[12:16] != b"IHDR":
        return _number(body, draw)
    header = [*struct.unpack_from(">IIBBBBB", body.ljust(29, b"\0"), 16)]
    at = draw.randrange(7)
    header[at] = draw.choice(_NUMBERS) if at < 2 else draw.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 255))
    return body[:16] + struct.pack(">IIBBBBB", *header) + body[29:]


def _png_chunk(body: bytes, draw: Random) -> bytes:
    """A chunk put in, renamed, or said to be longer than it is."""
    starts = [match.start() for match in re.finditer(rb"[A-Za-z]{4}", body) if match.group() in _PNG_CHUNKS]
    if not starts:
        return _number(body, draw)
    at, kind = draw.choice(starts) - 4, draw.choice(_PNG_CHUNKS)
    way = draw.randrange(3)
    if way == 0:
        data = draw.choice((b"", b"\0", bytes(range(256)), zlib.compress(bytes(1 << 20)), image_files.exif(6)))
        return body[:at] + image_files.chunk(kind, data) + body[at:]
    if way == 1:
        return body[: at + 4] + kind + body[at + 8 :]
    return body[:at] + struct.pack(">I", draw.choice(_NUMBERS)) + body[at + 4 :]


def _pixels(body: bytes, draw: Random) -> bytes:
    """Other compressed pixels in a PNG: too few, far too many, or none."""
    at = body.find(b"IDAT")
    if at < 4:
        return _number(body, draw)
    (length,) = struct.unpack_from(">I", body, at - 4)
    data = zlib.compress(draw.choice((b"", bytes(7), bytes(1 << 22), bytes(range(256)) * 9)))
    return body[: at - 4] + image_files.chunk(b"IDAT", data) + body[at + 8 + length :]


def _exif(body: bytes, draw: Random) -> bytes:
    """Another directory where there is one: odd types, counts and places."""
    at = max(body.find(b"II*\0"), body.find(b"MM\0*"))
    if at < 0:
        return _number(body, draw)
    order = "<" if body[at : at + 1] == b"I" else ">"
    entry = at + 10 + 12 * draw.randrange(3) + draw.choice((0, 2, 4, 8))
    form = draw.choice(("H", "I"))
    written = struct.pack(order + form, draw.choice(_NUMBERS) % 256 ** struct.calcsize(form))
    return body[:entry] + written + body[entry + len(written) :]


def _spliced(body: bytes, draw: Random) -> bytes:
    """The head of one picture before the rest of another."""
    other = draw.choice(good_pictures())
    at = draw.randrange(min(len(body), _HEAD) + 1)
    return body[:at] + other[draw.choice((at, 0)) :]


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_number, _number, _png_header, _png_chunk, _pixels, _exif, _spliced),
    literals.damaged,
)

"""PNG files, read from their specification (second edition) with nothing but zlib and numpy: the fuzz's own opinion.

Lenient where decoders are: wrong checksums and a missing end are no fault, missing pixels are.

>>> from fedrela.conformance.image_files import png
>>> read(png(2, 1, 8, 0, bytes((0, 7, 9)))).tolist()
[[[7, 7, 7], [9, 9, 9]]]
"""

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from fedrela.conformance.image_files import SCAN_PASSES
from fedrela.conformance.sources.zips import Damaged, Unknown

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MOST_BYTES = 1 << 20  # of pixels; larger ones are not of this fuzz
_PLAIN = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA"}

Pixels = NDArray[np.uint8]


def read(body: bytes) -> Pixels:
    """The pixels (height, width, 3) over white, of 8 bits. Raises Damaged, and Unknown for what is not simple."""
    chunks = list(_chunks(body))
    kinds = [kind for kind, _ in chunks]
    if b"IHDR" not in kinds or len(dict(chunks)[b"IHDR"]) != 13:
        raise Damaged("no header")
    if kinds[0] != b"IHDR" or set(kinds) - _PLAIN or any(kinds.count(kind) > 1 for kind in (b"IHDR", b"PLTE", b"tRNS")):
        raise Unknown("further chunks")
    parts = dict(chunks)
    width, height, depth, color, packing, filtering, interlaced = struct.unpack(">IIBBBBB", parts[b"IHDR"])
    if color not in _CHANNELS or depth not in (1, 2, 4, 8) or (depth < 8 and color not in (0, 3)):
        raise Damaged("a depth that no device reads")
    if packing or filtering or interlaced > 1 or not 0 < width * height * 8 <= _MOST_BYTES:
        raise Unknown("another way of packing")
    packed = b"".join(data for kind, data in chunks if kind == b"IDAT")
    rows = _unpacked(packed)
    samples = _samples(rows, (width, height), depth, _CHANNELS[color], bool(interlaced))
    return _over_white(samples, depth, color, parts.get(b"PLTE"), parts.get(b"tRNS"))


def _chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not body.startswith(_SIGNATURE):
        raise Damaged("no PNG")
    at = len(_SIGNATURE)
    while at + 8 <= len(body):
        (length,) = struct.unpack_from(">I", body, at)
        kind = body[at + 4 : at + 8]
        data = body[at + 8 : at + 8 + length]
        yield kind, data
        at += 12 + length
        if kind == b"IEND":
            break


def _unpacked(packed: bytes) -> bytes:
    """All that comes before the first fault: a wrong sum at the end is none of the pixels'."""
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(packed, _MOST_BYTES)
    unpacker, rows = zlib.decompressobj(), b""
    try:
        for at in range(len(packed)):
            rows += unpacker.decompress(packed[at : at + 1], _MOST_BYTES)
    except zlib.error:
        pass
    return rows


def _samples(rows: bytes, size: tuple[int, int], depth: int, channels: int, interlaced: bool) -> Pixels:
    """Unfiltered samples (height, width, channels), in the depth of the file."""
    width, height = size
    image, at = np.zeros((height, width, channels), np.uint8), 0
    for left, top, across, down in SCAN_PASSES if interlaced else ((0, 0, 1, 1),):
        columns, lines = max(0, -(-(width - left) // across)), max(0, -(-(height - top) // down))
        length = -(-columns * channels * depth // 8)
        above = bytearray(length)
        for line in range(lines if columns else 0):
            if at + 1 + length > len(rows):
                raise Damaged("pixels are missing")
            above = _unfiltered(rows[at], rows[at + 1 : at + 1 + length], above, max(1, channels * depth // 8))
            at += 1 + length
            bits = np.unpackbits(np.frombuffer(bytes(above), np.uint8)).reshape(-1, depth)
            values = (bits * (1 << np.arange(depth)[::-1])).sum(axis=1).astype(np.uint8)
            image[top + line * down, left::across] = values[: columns * channels].reshape(columns, channels)
    return image


def _unfiltered(way: int, line: bytes, above: bytearray, step: int) -> bytearray:
    out = bytearray(line)
    for at in range(len(out)):
        left = out[at - step] if at >= step else 0
        corner = above[at - step] if at >= step else 0
        if way == 4:
            guess = left + above[at] - corner
            distances = [(abs(guess - value), order, value) for order, value in enumerate((left, above[at], corner))]
            addend = min(distances)[2]
        elif way > 4:
            raise Damaged("an unknown filter")
        else:
            addend = (0, left, above[at], (left + above[at]) // 2)[way]
        out[at] = (out[at] + addend) & 255
    return out


def _over_white(samples: Pixels, depth: int, color: int, palette: bytes | None, clear: bytes | None) -> Pixels:
    wide = samples.astype(np.int64)
    opacity = np.full(wide.shape[:2], 255, np.int64)
    if color == 3:
        colors = np.zeros((256, 3), np.int64)
        entries = np.frombuffer((palette or b"")[: len(palette or b"") // 3 * 3], np.uint8).reshape(-1, 3)[:256]
        if not len(entries):
            raise Unknown("no palette")
        colors[: len(entries)] = entries
        opacities = np.full(256, 255, np.int64)
        opacities[: len(clear or b"")] = np.frombuffer(clear or b"", np.uint8)[:256]
        rgb, opacity = colors[wide[..., 0]], opacities[wide[..., 0]]
    else:
        plain = wide[..., : 3 if color in (2, 6) else 1]
        if color in (4, 6):
            opacity = wide[..., -1]
        elif clear is not None:
            if len(clear) != 2 * plain.shape[2]:
                raise Unknown("an odd transparent color")
            opacity = np.where((plain == struct.unpack(f">{plain.shape[2]}H", clear)).all(axis=2), 0, 255)
        rgb = np.broadcast_to(plain * 255 // ((1 << depth) - 1), (*plain.shape[:2], 3))
    laid = (rgb * opacity[..., None] + 255 * (255 - opacity[..., None]) + 127) // 255
    return laid.astype(np.uint8)

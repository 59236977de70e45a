"""Photos as three phones write them: what lies around the pixels, which are the same everywhere.

    iPhone     EXIF (Motorola's byte order) with an orientation and the maker's own part, Display P3, an index (MPF) and
               behind it the picture's gain map as a second JPEG
    Pixel      EXIF (Intel's), XMP in several pieces, MPF, and behind the pixels a gain map and a short film
    Samsung    EXIF with a preview in it, and a trailer of the maker's with a short film

No gain map, film or profile is ever used: a client takes the picture itself, turned as EXIF says.
"""

import io
import struct

import numpy as np
from PIL import Image

SENSOR = (4032, 3024)  # 12 megapixels, as it lies in the file whichever way the phone was held
_EXIF, _XMP, _MPF = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"MPF\0"
_ICC = b"ICC_PROFILE\0\1\1"
FILM = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + bytes(200_000)


def picture(size: tuple[int, int] = SENSOR) -> Image.Image:
    """Another color in each corner, so that a turn shows."""
    corners = np.array([[[200, 30, 30], [30, 200, 30]], [[30, 30, 200], [220, 220, 40]]], np.uint8)
    return Image.fromarray(corners).resize(size, Image.Resampling.NEAREST)


def jpeg(image: Image.Image) -> bytes:
    """As Pillow writes it: JFIF, and nothing else around the pixels."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


def iphone(plain: bytes, orientation: int) -> bytes:
    """As its camera app writes it with "Most compatible" chosen."""
    profile = (bytes(12) + b"mntrRGB XYZ " + bytes(512)).replace(bytes(40), b"Display P3".ljust(40), 1)
    blocks = _segment(0xE1, _EXIF + _tiff(">", orientation, maker=b"Apple iOS\0\0\1MM" + bytes(900)))
    blocks += _segment(0xE2, _ICC + profile) + _segment(0xE2, _MPF + _index(">", len(plain)))
    return _with(plain, blocks) + jpeg(Image.new("L", (1008, 756), 90))


def pixel(plain: bytes, orientation: int) -> bytes:
    """With a gain map (Ultra HDR) and a motion photo."""
    described = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF GCamera:MotionPhoto="1" hdrgm:Version="1.0"/></x:xmpmeta>'
    )
    blocks = _segment(0xE1, _EXIF + _tiff("<", orientation, maker=b"Google HDRP\2" + bytes(20_000)))
    blocks += _segment(0xE1, _XMP + described)
    for _ in range(3):
        blocks += _segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 40 + bytes(60_000))
    blocks += _segment(0xE2, _MPF + _index("<", len(plain)))
    return _with(plain, blocks) + jpeg(Image.new("L", (1008, 756), 120)) + FILM


def samsung(plain: bytes, orientation: int) -> bytes:
    """With the preview in EXIF and the trailer that its gallery reads."""
    preview = jpeg(picture((512, 384)))
    blocks = _segment(0xE1, _EXIF + _tiff("<", orientation, preview=preview))
    blocks += _segment(0xE4, b"\0\0samsung" + bytes(60_000))
    entry = b"\0\0\x30\x0a" + struct.pack("<I", 16) + b"MotionPhoto_Data" + FILM
    head = b"SEFH" + struct.pack("<III", 106, 1, 0x0A30) + struct.pack("<II", len(entry), len(entry))
    return _with(plain, blocks) + entry + head + struct.pack("<I", len(head)) + b"SEFT"


PHONES = {"iphone": iphone, "pixel": pixel, "samsung": samsung}


def heic() -> bytes:
    """An iPhone's own format: the beginning tells it."""
    return b"\0\0\0\x24ftypheic\0\0\0\0mif1MiHBMiHEMiPrheic" + bytes(300)


def _with(plain: bytes, blocks: bytes) -> bytes:
    """A JPEG with segments where a camera puts them: at once, without JFIF."""
    end_of_jfif = 4 + int.from_bytes(plain[4:6], "big")
    return plain[:2] + blocks + plain[end_of_jfif:]


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _tiff(order: str, orientation: int, *, maker: bytes = b"", preview: bytes = b"") -> bytes:
    """A directory with maker, model and orientation, one with the maker's own part, and one of the preview."""
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    second = 8 + 2 + 3 * 12 + 4
    third = second + 2 + 12 + 4
    first = _directory(order, [(0x0112, 3, 1, orientation), (0x0128, 3, 1, 2), (0x8769, 4, 1, second)], third)
    data = third + 2 + 2 * 12 + 4
    inner = _directory(order, [(0x927C, 7, len(maker), data)] if maker else [(0xA001, 3, 1, 1)], 0)
    last = _directory(order, [(0x0201, 4, 1, data), (0x0202, 4, 1, len(preview))], 0)
    return start + first + inner + last + (preview or maker)


def _directory(order: str, entries: list[tuple[int, int, int, int]], following: int) -> bytes:
    packed = [
        struct.pack(order + ("HHIHH" if kind == 3 else "HHII"), tag, kind, count, value, *([0] if kind == 3 else []))
        for tag, kind, count, value in entries
    ]
    return struct.pack(order + "H", len(entries)) + b"".join(packed) + struct.pack(order + "I", following)


def _index(order: str, size: int) -> bytes:
    """Where the second picture lies (Multi-Picture Format)."""
    start = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(order + "I", 8)
    entries = [
        (0xB000, 7, 4, struct.unpack(order + "I", b"0100")[0]),
        (0xB001, 4, 1, 2),
        (0xB002, 7, 32, 8 + 2 + 3 * 12 + 4),
    ]
    pictures = struct.pack(order + "IIIHH", 0x00030000, size, 0, 0, 0) + struct.pack(order + "IIIHH", 0, 9, size, 0, 0)
    return start + _directory(order, entries, 0) + pictures

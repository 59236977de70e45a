"""A picture whose file ends too early is refused in every format, also where its decoder fills up what is missing."""

import io
import re
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from fedrela.conformance import image_files
from fedrela.core.errors import InvalidData
from fedrela.edge.sources import jpeg_scans, missing_pixels, picture_files, png_pixels

WIDTH, HEIGHT = 40, 48
NOISE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
END = b"\xff\xd9"
STRIPS = {"offsets": 273, "counts": 279}


def saved(form: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).convert(mode).save(file, form, **options)
    return file.getvalue()


def pixels(body: bytes) -> list[int]:
    return np.asarray(picture_files.decode(body, "it")[0]).ravel().tolist()


def refused(body: bytes) -> str:
    with pytest.raises(InvalidData, match="the image it can't be decoded") as refusal:
        picture_files.decode(body, "it")
    return str(refusal.value)


def rows(width: int, height: int, bits: int, interlaced: bool) -> bytes:
    """A PNG's rows, written pass by pass."""
    passes = image_files.SCAN_PASSES if interlaced else ((0, 0, 1, 1),)
    made = b""
    for left, top, across, down in passes:
        columns, lines = len(range(left, width, across)), len(range(top, height, down))
        made += (b"\0" + b"\x55" * -(-columns * bits // 8)) * lines if columns else b""
    return made


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("color", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
@pytest.mark.parametrize("size", [(1, 1), (3, 2), (11, 9)])
def test_a_png_has_all_of_its_rows(color: int, channels: int, interlaced: bool, size: tuple[int, int]) -> None:
    for depth in (1, 2, 4, 8) if color == 0 else (8,):
        whole = rows(*size, depth * channels, interlaced)
        for body, taken in ((whole, True), (whole + b"more", True), (whole[:-1], False), (whole[:3], len(whole) <= 3)):
            file = image_files.png(*size, depth, color, body, interlaced=interlaced)
            assert pixels(file) if taken else "cut short" in refused(file)


def test_a_png_is_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its stream is cut into, and however much of it is unpacked at a time."""
    monkeypatch.setattr(png_pixels, "_UNPACKED_BYTES", 7)
    monkeypatch.setattr(png_pixels, "_PACKED_BYTES", 2)
    plain = saved("PNG")
    assert pixels(plain) == NOISE.ravel().tolist()
    at = plain.index(b"IDAT") - 4
    data = plain[at + 8 : plain.index(b"IEND") - 8]
    cut = [image_files.chunk(b"IDAT", data[start : start + 1000]) for start in range(0, len(data), 1000)]
    assert pixels(plain[:at] + b"".join(cut) + plain[at + 12 + len(data) :]) == NOISE.ravel().tolist()


def test_a_png_of_two_headers_is_refused() -> None:
    whole = image_files.png(2, 2, 8, 0, bytes(6))
    assert "two headers" in refused(whole[:33] + whole[8:33] + whole[33:])


JPEGS = {
    "baseline": {"quality": 90, "subsampling": 0},
    "of fewer colors": {"quality": 90, "subsampling": 2},
    "progressive": {"quality": 90, "progressive": True},
    "restarted": {"quality": 90, "restart_marker_blocks": 4},
}


@pytest.mark.parametrize("cut", [3, 4, 8, 60, 900])
@pytest.mark.parametrize("way", JPEGS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_that_is_closed_too_early_is_refused(way: str, cut: int, mode: str) -> None:
    whole = saved("JPEG", mode, **JPEGS[way])
    assert whole.endswith(END)
    assert pixels(whole) == pixels(whole[:-2] + b"\x12\x34" * 9 + END) == pixels(whole[:-2] + b"\xff\xff" + END)
    refused(whole[:-2])
    refused(whole[:-cut] + END)


def test_a_jpeg_that_loses_bytes_between_two_restarts_is_refused() -> None:
    whole = saved("JPEG", restart_marker_blocks=2, quality=90)
    second = whole.index(b"\xff\xd1")
    assert "missing" in refused(whole[: second - 6] + whole[second:])


def test_every_scan_of_a_progressive_jpeg_is_needed() -> None:
    whole = saved("JPEG", progressive=True)
    scans = [match.start() for match in re.finditer(b"\xff\xda", whole)]
    assert len(scans) == 10
    for at in scans[1:]:
        assert "cut short" in refused(whole[:at] + END)


def test_a_large_jpeg_is_decoded_again_if_it_may_end_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing_pixels, "_LARGE_PIXELS", 0)
    again: list[int] = []
    twin = jpeg_scans.with_other_bytes

    def counted(body: bytes, scans: list[jpeg_scans.Scan]) -> bytes:
        again.append(len(scans))
        return twin(body, scans)

    monkeypatch.setattr(jpeg_scans, "with_other_bytes", counted)
    whole = saved("JPEG", quality=90)
    assert pixels(whole)
    assert not again
    assert "missing" in refused(whole[: len(whole) // 2] + END)
    assert pixels(saved("JPEG", progressive=True))
    assert again == [1, 10]


def test_what_browsers_do_not_read_is_refused() -> None:
    arithmetic = saved("JPEG").replace(b"\xff\xc0", b"\xff\xc9")
    assert "browsers" in refused(arithmetic)


def runs(*lines: bytes, end: bytes = b"\0\1") -> bytes:
    """A BMP of 8 x 4 whose rows are packed as runs."""
    data = b"".join(line + b"\0\0" for line in lines) + end
    palette = b"".join(bytes((gray, gray, gray, 0)) for gray in range(256))
    start = 54 + len(palette)
    sizes = struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, 8, 1, len(data), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + sizes + palette + data


def gif_of_codes(*codes: int) -> bytes:
    """A GIF of 2 x 2 with codes of 3 bits."""
    packed = sum(code << 3 * place for place, code in enumerate(codes)).to_bytes(-(-3 * len(codes) // 8), "little")
    head = b"GIF89a" + struct.pack("<HHBBB", 2, 2, 0x81, 0, 0) + bytes(range(12))
    return head + b"," + struct.pack("<HHHHBB", 0, 0, 2, 2, 0, 2) + bytes([len(packed)]) + packed + b"\0;"


def edited(body: bytes, tag: int, count: int = 0, value: int | None = None) -> bytes:
    """A TIFF whose entry has another count of values, or another last value."""
    written = bytearray(body)
    (directory,) = struct.unpack_from("<I", body, 4)
    (entries,) = struct.unpack_from("<H", body, directory)
    places = (directory + 2 + 12 * number for number in range(entries))
    at = next(place for place in places if struct.unpack_from("<H", body, place) == (tag,))
    _, kind, had, where = struct.unpack_from("<HHII", body, at)
    if count:
        struct.pack_into("<I", written, at + 4, had + count)
    if value is not None:
        form = {3: "<H", 4: "<I"}[kind]
        place = at + 8 if had * struct.calcsize(form) <= 4 else where + struct.calcsize(form) * (had - 1)
        struct.pack_into(form, written, place, value)
    return bytes(written)


def in_strips(compression: str) -> bytes:
    return saved("TIFF", compression=compression, strip_size=1000)


def short_files() -> Iterator[tuple[str, bytes]]:
    for mode in ("L", "RGB", "P"):
        for form in ("BMP", "PPM", "TIFF"):
            if (mode, form) != ("P", "PPM"):
                yield f"{form} of {mode}, cut", saved(form, mode)[:-3]
    yield "plain PPM", b"P3 2 2 255\n1 2 3 4 5 6 7 8 9 10 11"
    yield "BMP of short runs", runs(*(b"\5\7",) * 4)
    yield "BMP of leaps", runs(b"\3\7\0\2\2\1\3\7", b"\x08\1", b"\x08\2")
    yield "GIF that ends after three pixels", gif_of_codes(4, 1, 2, 3, 5)
    whole = gif_of_codes(4, 1, 2, 4, 3, 1, 5)
    yield "GIF that is smaller than its canvas", whole[:6] + struct.pack("<HH", 3, 2) + whole[10:]
    for packing in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
        for name, tag in STRIPS.items():
            yield f"TIFF in {packing}, fewer {name}", edited(in_strips(packing), tag, count=-1)
            yield f"TIFF in {packing}, no last one of its {name}", edited(in_strips(packing), tag, value=0)
        yield f"TIFF in {packing}, higher", edited(in_strips(packing), 257, value=HEIGHT + 1)
    yield "TIFF, higher", edited(saved("TIFF"), 257, value=HEIGHT + 1)
    yield "TIFF, its one strip too short", edited(saved("TIFF"), 279, value=3 * WIDTH * HEIGHT - 1)
    for packing in ("jpeg", "group3", "group4"):
        yield f"TIFF in {packing}", saved("TIFF", "RGB" if packing == "jpeg" else "1", compression=packing)
    for options in ({"lossless": True}, {"quality": 80}):
        whole = saved("WEBP", **options)
        for cut in (2, 20, len(whole) // 2):
            data = whole[20 : len(whole) - cut & ~1]
            sizes = struct.pack("<I", len(data) + 12), struct.pack("<I", len(data))
            yield f"WebP {options} without {cut}", whole[:4] + sizes[0] + whole[8:16] + sizes[1] + data


SHORT = dict(short_files())


@pytest.mark.parametrize("name", SHORT)
def test_what_is_short_is_refused(name: str) -> None:
    assert "; " in refused(SHORT[name])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
@pytest.mark.parametrize("form", ["BMP", "GIF", "PPM", "TIFF"])
def test_what_is_whole_is_read(form: str, mode: str) -> None:
    body = saved(form, mode) if (form, mode) != ("PPM", "P") else saved(form)
    expected = np.asarray(Image.open(io.BytesIO(body))).ravel().tolist()
    assert pixels(body) == expected


def test_a_whole_gif_of_codes_is_read() -> None:
    assert pixels(gif_of_codes(4, 1, 2, 4, 3, 1, 5)) == [1, 2, 3, 1]

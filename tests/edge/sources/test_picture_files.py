"""The boundary to Pillow: a picture with odd descriptions is read as without them, and any other fault is ours."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageFile

from fedrela.conformance import image_files
from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import TensorSpec
from fedrela.edge.sources import images, jpeg_segments, picture_files

ORIENTATION = 0x0112
TAGS = (0x0100, ORIENTATION, 0x011A, 0x011B, 0x0128, 0x014A, 0x8769, 0x8825, 0xA005, 0x927C, 45057)


def saved(form: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((8, 6)).convert(mode).save(file, form, **options)
    return file.getvalue()


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def odd_directories() -> Iterator[bytes]:
    """One entry for each odd tag, type and count; its value points within, outside, or back to the directory."""
    for order, start in (("<", b"II*\0"), (">", b"MM\0*")):
        for tag in TAGS:
            for kind in (0, 1, 2, 3, 4, 5, 7, 10, 12, 13, 99):
                for count, value in ((0, 0), (1, 8), (2, 8), (3, 4_000_000_000), (65_535, 1)):
                    entries = struct.pack(order + "H", 2) + struct.pack(order + "HHIHH", 0x0128, 3, 1, 3, 0)
                    entries += struct.pack(order + "HHII", tag, kind, count, value)
                    yield start + struct.pack(order + "I", 8) + entries + struct.pack(order + "I", 0)


def pixels(body: bytes) -> list[int]:
    image, turned = picture_files.decode(body, "it")
    assert turned in range(1, 9)
    return np.asarray(image).ravel().tolist()


def test_a_jpeg_is_read_as_without_its_descriptions() -> None:
    plain = saved("JPEG")
    assert plain[2:4] == b"\xff\xe0"
    end = 4 + int.from_bytes(plain[4:6])
    without_jfif = plain[:2] + plain[end:]
    expected = pixels(plain)
    for block in odd_directories():
        exif = segment(0xE1, b"Exif\0\0" + block)
        for body in (plain[:end] + exif + plain[end:], without_jfif[:2] + exif + without_jfif[2:]):
            assert pixels(body) == expected
        assert pixels(plain[:end] + segment(0xE2, b"MPF\0" + block) + plain[end:]) == expected


def test_the_first_exif_block_alone_turns_a_jpeg() -> None:
    plain = saved("JPEG")
    blocks = [segment(0xE1, b"Exif\0\0" + image_files.exif(value)) for value in (6, 3)]
    assert picture_files.decode(plain[:2] + b"".join(blocks) + plain[2:], "it")[1] == 6
    cut = segment(0xE1, b"Exif\0\0" + image_files.exif(6)[:10])
    assert picture_files.decode(plain[:2] + cut + blocks[1] + plain[2:], "it")[1] == 1
    bare, exif = jpeg_segments.bare(plain[:2] + blocks[0] + segment(0xFE, b"a comment") + plain[2:])
    assert (bare, exif) == (plain, b"Exif\0\0" + image_files.exif(6))


def test_odd_directories_of_a_tiff_are_read_or_refused() -> None:
    plain, outcomes = saved("TIFF", "L"), set()
    (directory,) = struct.unpack_from("<I", plain, 4)
    for tag in TAGS:
        for kind in (0, 1, 2, 3, 4, 5, 7, 10, 12, 13, 99):
            for count, value in ((0, 0), (1, 8), (2, 8), (3, 4_000_000_000), (65_535, 1)):
                body = bytearray(plain)
                struct.pack_into("<HHII", body, directory + 2 + 12 * (tag % plain[directory]), tag, kind, count, value)
                try:
                    pixels(bytes(body))
                    outcomes.add("read")
                except InvalidData:  # and nothing else
                    outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def png16(color: int, channels: int) -> bytes:
    return image_files.png(2, 2, 16, color, (b"\0" + bytes(range(4 * channels))) * 2)


DEEP = {
    "gray.png": png16(0, 1),
    "color.png": png16(2, 3),
    "gray with opacity.png": png16(4, 2),
    "color with opacity.png": png16(6, 4),
    "gray.pgm": b"P5 2 2 65535\n" + bytes(8),
    "color.ppm": b"P6 2 2 65535\n" + bytes(24),
    "color of 1023.ppm": b"P6 2 2 1023\n" + bytes(24),
    "plain color.ppm": b"P3 2 1 65535\n" + b"60000 1 2 3 4 5\n",
    "gray.tif": saved("TIFF", "I;16"),
    "float.tif": saved("TIFF", "F"),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_per_channel_are_refused_in_every_format(name: str) -> None:
    with pytest.raises(InvalidData, match=r"it has more than 8 bits per channel; convert it to 8 bits"):
        picture_files.decode(DEEP[name], "it")


def test_what_pillow_raises_after_decoding_is_ours_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A palette that is odd is looked at when the picture is converted."""
    spec = TensorSpec("x", ("B", 3, 6, 8), "uint8")
    body = saved("PNG", "P", transparency=b"\0\7")
    assert images.decode(body, "it", spec, Preprocessing("image")).shape == (3, 6, 8)
    for fault in (AttributeError("odd"), TypeError("odd"), struct.error("odd"), KeyError(3), MemoryError()):

        def convert(*_: object, error: Exception = fault) -> None:
            raise error

        monkeypatch.setattr(Image.Image, "convert", convert)
        with pytest.raises(InvalidData, match="the image it can't be decoded"):
            images.decode(body, "it", spec, Preprocessing("image"))


def test_a_picture_of_another_format_says_what_helps() -> None:
    with pytest.raises(InvalidData, match=r"can't be decoded \(it is of no format that is read.*; save it as JPEG"):
        picture_files.decode(b"\0\0\0\x18ftypheic" + bytes(60), "it")


BLANK = {
    "GIF": ("P", {}),
    "PNG": ("1", {}),
    "JPEG": ("L", {"progressive": True, "optimize": True, "quality": 1}),
    "BMP": ("1", {}),
    "PPM": ("1", {}),
}


@pytest.mark.parametrize("form", BLANK)
def test_a_few_bytes_that_claim_many_pixels_are_refused_before_they_are_unpacked(
    form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode, options = BLANK[form]
    file = io.BytesIO()
    Image.new(mode, (2000, 1500)).save(file, form, **options)  # as tightly packed as this format can be
    whole = file.getvalue()
    assert picture_files.decode(whole, "it")[0].size == (2000, 1500)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match="the file is too short"):
        picture_files._opened(whole[: max(len(whole) // 8, 60)], "it").load()


def test_a_gif_that_is_smaller_than_its_canvas_is_refused_before_it_is_unpacked() -> None:
    file = io.BytesIO()
    Image.new("P", (16, 12)).save(file, "GIF")
    body = bytearray(file.getvalue())
    body[6:10] = struct.pack("<HH", 32_016, 3_072)
    with pytest.raises(ValueError, match="smaller than its canvas"):
        picture_files._opened(bytes(body), "it")

"""A picture's file as pixels, by Pillow: the first picture in it, with its orientation, its color profile ignored.

What clients could read differently is refused: more than 8 bits per channel, CMYK, and what is too large for a phone.
The boundary to Pillow is `named`: for odd files it raises nearly anything.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from fedrela.core.errors import InvalidData
from fedrela.edge.sources import jpeg_segments, missing_pixels, orientation, picture_parts

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM", "TIFF")  # by content; a file's name doesn't count
MAX_PIXELS = 100_000_000
MAX_SIDE = 65_535  # of any JPEG; up to there every client scales with the same numbers

_MODES = frozenset({"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr"})
# Of files that begin as a film does: what phones write, often under the name of a JPEG.
_BRANDS = dict.fromkeys((b"heic", b"heix", b"heim", b"hevc", b"mif1", b"msf1"), "HEIC") | {b"avif": "AVIF"}
_BITS_PER_SAMPLE = 258  # a tag of TIFF
# At most: a code of a GIF is a string of pixels, a PNG deflates bits, a JPEG has a bit for 64 pixels. WebP, and a TIFF
# packed as some are, have no such bound.
_PIXELS_PER_BYTE = {"GIF": 4096, "PNG": 8 * 1032, "JPEG": 8 * 64, "BMP": 8, "PPM": 8}
_TIFF_PACKINGS = frozenset({"raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "lzma", "zstd"})


def decode(body: bytes, name: str) -> tuple[Image.Image, int]:
    """The decoded image and its orientation 1 to 8. Raises InvalidData, which names the image."""
    with named(name), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MAX_PIXELS is ours, and what is damaged beside the pixels has no say
        picture_parts.check(body)
        if body[4:8] == b"ftyp" and body[8:12] in _BRANDS:
            raise _unread(name, f"it is {_BRANDS[body[8:12]]}, whatever its name says")
        plain, exif = jpeg_segments.bare(body) if jpeg_segments.is_jpeg(body) else (body, b"")
        image = missing_pixels.load(plain, lambda body: _opened(body, name))
        return image, _orientation(image, exif)


def _opened(body: bytes, name: str) -> ImageFile:
    image = Image.open(io.BytesIO(body), formats=FORMATS)
    _check(image, name)
    _check_room(image, len(body))
    _scale_transparent_gray(image)
    return image


@contextmanager
def named(name: str) -> Iterator[None]:
    """Whatever is raised within becomes InvalidData, which names the image."""
    try:
        yield
    except InvalidData:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidData(f"the image {name} is too large ({error})", remedy="scale it down") from error
    except UnidentifiedImageError as error:
        raise _unread(name, "or its header is damaged") from error
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
        raise InvalidData(f"the image {name} can't be decoded ({reason})", remedy="mend or remove it") from error


def _unread(name: str, more: str) -> InvalidData:
    return InvalidData(
        f"the image {name} can't be decoded (it is of no format that is read, {more})",
        remedy="save it as JPEG or PNG, or remove it",
    )


def _check(image: ImageFile, name: str) -> None:
    """Refuse by what the header says, before anything is unpacked."""
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise InvalidData(f"the image {name} is too large ({image.width}x{image.height})", remedy="scale it down")
    if _bits_per_channel(image) > 8:
        raise InvalidData(f"the image {name} has more than 8 bits per channel", remedy="convert it to 8 bits")
    if image.mode == "CMYK":
        raise InvalidData(f"the image {name} is CMYK, made for print", remedy="convert it to RGB")
    if image.mode not in _MODES:
        raise ValueError(f"its colors are {image.mode}")
    packing = _packing(image)
    if packing:
        raise InvalidData(
            f"the image {name} can't be decoded (its pixels are packed as {packing}, where missing ones don't show)",
            remedy="save it as PNG",
        )


def _check_room(image: ImageFile, length_bytes: int) -> None:
    """Refuse what can't hold its pixels before there is memory for them: a few bytes may claim a hundred million."""
    box = image.tile[0][1] if image.format == "GIF" and image.tile else None
    if box is not None and box != (0, 0, *image.size):
        raise ValueError("pixels are missing: it is smaller than its canvas")
    most = _PIXELS_PER_BYTE.get(image.format or "")
    if most is not None and image.width * image.height > most * length_bytes:
        raise ValueError("pixels are missing: the file is too short for them")


def _packing(image: ImageFile) -> str:
    """The name of a packing whose decoder fills up by itself what is missing; of others nothing."""
    if image.format == "TIFF" and image.info.get("compression") not in _TIFF_PACKINGS:
        return f"TIFF's {image.info.get('compression')}"
    return "runs of a BMP" if image.format == "BMP" and image.tile and image.tile[0][0] == "bmp_rle" else ""


def _bits_per_channel(image: ImageFile) -> int:
    """16 stands for every number above 8. Pillow itself would cut 16 bits down, or off at 255, without a word."""
    if image.mode.startswith(("I", "F")):
        return 16
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))  # type: ignore[attr-defined, no-any-return]
    arguments = image.tile[0][3] if image.tile else ()
    if image.format == "PNG":
        return 16 if "16" in str(arguments) else 8
    if image.format == "PPM" and isinstance(arguments, tuple):
        return 16 if any(isinstance(maximum, int) and maximum > 255 for maximum in arguments) else 8
    return 8


def _scale_transparent_gray(image: ImageFile) -> None:
    """A PNG of 2 or 4 bits names its transparent gray in that depth; Pillow compares it with values of 8 bits."""
    factor = {"L;2": 85, "L;4": 17}.get(str(image.tile[0][3])) if image.format == "PNG" and image.tile else None
    if factor and "transparency" in image.info:
        image.info["transparency"] *= factor


def _orientation(image: Image.Image, exif: bytes) -> int:
    """From the block that was cut out of a JPEG; what other formats hold, Pillow leaves as it is."""
    if image.format == "TIFF":  # newer Pillows turn it while they load it, and take the tag away
        value = image.getexif().get(0x0112, 1)
        return value if value in range(1, 9) else 1
    return orientation.parse(exif or image.info.get("exif", b""))

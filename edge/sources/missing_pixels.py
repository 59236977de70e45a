"""Every pixel of a picture comes from its file: what decoders make up for others, they do without a word.

A PNG's bytes are counted. GIF, BMP, PPM and TIFF are decoded over two grounds: where a ground is seen, no pixel came. A
JPEG is decoded again with other bytes where it ends; a large one, whose second decoding would take long, only if it may
end too early by more than its last block. WebP's own decoder refuses what is too short.
"""

from collections.abc import Callable, Mapping
from typing import Any

from PIL.ImageFile import ImageFile

from fedrela.edge.sources import jpeg_scans, png_pixels

Open = Callable[[bytes], ImageFile]

_STRIPS, _TILES = (273, 279), (324, 325)  # of TIFF: the tags of their places and of their lengths
_WIDTH, _HEIGHT, _BITS_PER_SAMPLE, _COMPRESSION = 256, 257, 258, 259
_TIFF_HEAD = 8  # bytes
_GRAY, _NEAR = 128, 2  # libjpeg's value for what never came, and what rounding makes of it
_LARGE_PIXELS = 1_000_000
_GROUNDS = (0, 255)  # of each band
_BAND_PIXELS = 1_000_000  # compared at a time


def load(body: bytes, opened: Open) -> ImageFile:
    """The decoded picture. Raises ValueError where pixels are missing, and what Pillow raises."""
    image = opened(body)
    if image.format == "PNG":
        png_pixels.check(body)
    elif image.format == "JPEG":
        return _load_jpeg(image, body, opened)
    elif image.format != "WEBP":
        if image.format == "TIFF":
            _check_strips(image.tag_v2)  # type: ignore[attr-defined]
        other = _over(opened(body), _GROUNDS[1])
        return _same(_over(image, _GROUNDS[0]), other)
    image.load()
    return image


def _load_jpeg(image: ImageFile, body: bytes, opened: Open) -> ImageFile:
    scans = jpeg_scans.check(body)
    image.load()
    if image.width * image.height > _LARGE_PIXELS and len(scans) == 1 and not _ends_gray(image):
        return image
    other = opened(jpeg_scans.with_other_bytes(body, scans))
    other.load()
    return _same(image, other)


def _check_strips(tags: Mapping[int, Any]) -> None:
    """A TIFF's strips or tiles lie where it says, as long as it says: what Pillow reads elsewhere is no pixel."""
    for places, lengths in _STRIPS, _TILES:
        named = len(tags.get(places, ())), len(tags.get(lengths, ()))
        if named[0] != named[1] or any(place < _TIFF_HEAD for place in tags.get(places, ())):
            raise ValueError("the places of its pixels are damaged")
    if tags.get(_COMPRESSION, 1) == 1 and _STRIPS[0] in tags:
        bits = sum(tags.get(_BITS_PER_SAMPLE, (1,))) * tags[_WIDTH]
        if sum(tags[_STRIPS[1]]) < (bits + 7) // 8 * tags[_HEIGHT]:
            raise ValueError("its pixels are cut short")


def _ends_gray(image: ImageFile) -> bool:
    """Whether its last pixel has the brightness of one that never came."""
    last = image.crop((image.width - 1, image.height - 1, *image.size))
    return abs(last.convert("L").tobytes()[0] - _GRAY) <= _NEAR


def _over(image: ImageFile, ground: int) -> ImageFile:
    """Decoded over a ground of this value."""
    prepare = image.load_prepare

    def load_prepare() -> None:
        prepare()
        image.im.paste((ground,) * image.im.bands, (0, 0, *image.im.size))

    image.load_prepare = load_prepare  # type: ignore[method-assign]
    image.load()
    return image


def _same(image: ImageFile, other: ImageFile) -> ImageFile:
    """The first of two. Raises ValueError where they differ."""
    rows = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        box = (0, top, image.width, min(top + rows, image.height))
        if image.crop(box).tobytes() != other.crop(box).tobytes():
            raise ValueError("pixels are missing")
    return image

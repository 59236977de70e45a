"""From decoded pixels to the bytes that a model takes. Every client makes the same ones; see conformance/pictures.md.

Turned upright, laid over white, grayed, then fitted: each step in whole numbers, the scaling as Pillow's BILINEAR.

    >>> crop_box((640, 480), (32, 32))
    (80, 0, 560, 480)
    >>> pad_box((640, 480), (32, 32))
    (0, 4, 32, 28)
"""

import numpy as np
from PIL import Image

from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array, TensorSpec
from fedrela.edge.sources.orientation import upright

Size = tuple[int, int]  # width, height
Box = tuple[int, int, int, int]  # left, top, right, bottom

_BAND_PIXELS = 1_000_000  # laid over white at a time: their products need six times their memory


def tensor(image: Image.Image, orientation: int, name: str, spec: TensorSpec, how: Preprocessing) -> Array:
    """A decoded image as (channels, height, width) uint8.

    Raises InvalidData, which names it, for another size or a colored one where `how` doesn't allow that.
    """
    channels, height, width = (int(d) for d in spec.shape[1:])
    turned = upright(image, orientation)
    if turned.size != (width, height) and how.fit == "exact":
        raise InvalidData(
            f"the image {name} is {turned.width}x{turned.height} and the model takes {width}x{height}",
            remedy="resize it, or export the model with --resize crop, pad or stretch",
        )
    plain = over_white(turned)
    if channels == 1:
        if not how.grayscale and _colored(plain):
            raise InvalidData(
                f"the image {name} is colored and the model takes gray ones",
                remedy="convert it to gray, or export the model again",
            )
        fitted = fit(plain.convert("L"), (width, height), how.fit)
        return np.asarray(fitted, np.uint8)[None].copy()
    fitted = fit(plain.convert("RGB"), (width, height), how.fit)
    return np.ascontiguousarray(np.asarray(fitted, np.uint8).transpose(2, 0, 1))


def over_white(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB; each value c of opacity a becomes (c * a + 255 * (255 - a) + 127) // 255."""
    if image.mode not in ("LA", "La", "PA", "RGBA", "RGBa") and "transparency" not in image.info:
        return image.convert("L" if image.mode in ("1", "L") else "RGB")
    rgba = np.asarray(image.convert("RGBA"), np.uint8)
    laid = np.empty((*rgba.shape[:2], 3), np.uint8)
    rows = max(1, _BAND_PIXELS // max(1, image.width))
    for top in range(0, image.height, rows):
        band = rgba[top : top + rows].astype(np.uint16)
        opacity = band[:, :, 3:]
        laid[top : top + rows] = (band[:, :, :3] * opacity + 255 * (255 - opacity) + 127) // 255
    return Image.fromarray(laid)


def _colored(image: Image.Image) -> bool:
    """Whether any pixel's red, green and blue differ."""
    if image.mode == "L":
        return False
    red, green, blue = (np.asarray(band) for band in image.split())
    return not (np.array_equal(red, green) and np.array_equal(green, blue))


def fit(image: Image.Image, size: Size, how: str) -> Image.Image:
    """An image of mode L or RGB in another size: "stretch", "crop" or "pad"."""
    if image.size == size:
        return image
    if how == "crop":
        return _scale(image.crop(crop_box(image.size, size)), size)
    if how == "pad":
        left, top, right, bottom = pad_box(image.size, size)
        padded = Image.new(image.mode, size)  # black
        padded.paste(_scale(image, (right - left, bottom - top)), (left, top))
        return padded
    return _scale(image, size)


def _scale(image: Image.Image, size: Size) -> Image.Image:
    """Rows first, then columns. In one call, Pillow 13 and older ones disagree about the order, and so about bytes."""
    rows = image.resize((size[0], image.height), Image.Resampling.BILINEAR)
    return rows.resize(size, Image.Resampling.BILINEAR)


def crop_box(size: Size, target: Size) -> Box:
    """The largest centered part of an image that has the target's proportions, in whole pixels rounded down."""
    (width, height), (target_width, target_height) = size, target
    wide, high = width, height
    if width * target_height > height * target_width:
        wide = max(1, height * target_width // target_height)
    else:
        high = max(1, width * target_height // target_width)
    left, top = (width - wide) // 2, (height - high) // 2
    return left, top, left + wide, top + high


def pad_box(size: Size, target: Size) -> Box:
    """Where an image lies that is scaled to fit within the target, centered; its shorter side rounded half up."""
    (width, height), (target_width, target_height) = size, target
    wide, high = target_width, target_height
    if width * target_height > height * target_width:
        high = max(1, (2 * height * target_width + width) // (2 * width))
    else:
        wide = max(1, (2 * width * target_height + height) // (2 * height))
    left, top = (target_width - wide) // 2, (target_height - high) // 2
    return left, top, left + wide, top + high

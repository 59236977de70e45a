"""Pictures as people have them, made on the spot: all kinds of files, up to 6000 pixels wide, and some that none takes.

>>> len({picture.name for picture in small_set()}) == len(small_set())
True
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fedrela.conformance import image_files

ORIENTATION = 0x0112


@dataclass(frozen=True)
class Picture:
    """A file. `lossy`: its format leaves the last bits of a pixel to the decoder."""

    name: str
    body: bytes
    lossy: bool = False


def photo(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """(height, width, 3): waves of light in each color, and the grain of a sensor."""
    rng = np.random.default_rng(seed)
    x, y = np.linspace(0, 1, width, dtype=np.float32), np.linspace(0, 1, height, dtype=np.float32)[:, None]
    planes = []
    for _ in range(3):
        across, down, phase = rng.uniform(2, 20), rng.uniform(2, 20), rng.uniform(0, 6)
        planes.append(127 + 110 * np.sin(across * x + phase) * np.cos(down * y))
    grain = rng.integers(-12, 13, (height, width, 1), dtype=np.int16)
    return np.clip(np.stack(planes, axis=2) + grain, 0, 255).astype(np.uint8)


def swapped_profile() -> bytes:
    """A color profile that takes red for green: who follows it shows another picture."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


def saved(image: Image.Image, kind: str, *, turned: int = 0, **options: Any) -> bytes:
    """The file of an image, with an orientation where one is given."""
    if turned:
        exif = Image.Exif()
        exif[ORIENTATION] = turned
        options["exif"] = exif
    body = io.BytesIO()
    image.save(body, kind, **options)
    return body.getvalue()


def opacity(image: Image.Image, seed: int) -> Image.Image:
    """The image with a gradient of opacity and some noise in it."""
    noise = np.random.default_rng(seed).integers(0, 60, (image.height, image.width))
    gradient = np.linspace(0, 255, image.width)[None, :] + noise - 30
    faded = image.copy()
    faded.putalpha(Image.fromarray(np.clip(gradient, 0, 255).astype(np.uint8)))
    return faded


def pngs(width: int, height: int, seed: int) -> Iterator[Picture]:
    """Every kind of PNG, in one size."""
    color = Image.fromarray(photo(width, height, seed))
    shades, palette = color.convert("L"), color.quantize(40)
    name = f"{width}x{height}-{seed}"
    turned = seed % 8 + 1
    yield Picture(f"rgb-{name}.png", saved(color, "PNG"))
    yield Picture(f"gray-{name}.png", saved(shades, "PNG"))
    yield Picture(f"palette-{name}.png", saved(palette, "PNG"))
    yield Picture(f"palette-opacity-{name}.png", saved(palette, "PNG", transparency=bytes(range(0, 240, 6))))
    yield Picture(f"bits-{name}.png", saved(shades.convert("1"), "PNG"))
    yield Picture(f"opacity-{name}.png", saved(opacity(color, seed), "PNG"))
    yield Picture(f"gray-opacity-{name}.png", saved(opacity(shades, seed), "PNG"))
    yield Picture(f"turned-{turned}-{name}.png", saved(color, "PNG", turned=turned))
    yield Picture(f"profile-{name}.png", saved(color, "PNG", icc_profile=swapped_profile()))


def photos(width: int, height: int, seed: int) -> Iterator[Picture]:
    """JPEG and WebP in one size."""
    color = Image.fromarray(photo(width, height, seed))
    name = f"{width}x{height}-{seed}"
    turned = seed % 8 + 1
    kept = (0, 2)[seed % 2]  # all of the color, or a quarter of it
    yield Picture(f"photo-{name}.jpg", saved(color, "JPEG", quality=85, subsampling=kept), lossy=True)
    yield Picture(
        f"turned-{turned}-{name}.jpg", saved(color, "JPEG", turned=turned, quality=75, subsampling=2), lossy=True
    )
    yield Picture(f"gray-progressive-{name}.jpg", saved(color.convert("L"), "JPEG", progressive=True), lossy=True)
    yield Picture(f"profile-{name}.jpg", saved(color, "JPEG", icc_profile=swapped_profile(), quality=90), lossy=True)
    yield Picture(f"lossless-{name}.webp", saved(color, "WEBP", lossless=True, method=0))
    yield Picture(f"opacity-{name}.webp", saved(opacity(color, seed), "WEBP", lossless=True, exact=True, method=0))
    lossy = saved(color, "WEBP", turned=turned, quality=80, icc_profile=swapped_profile())
    yield Picture(f"turned-{turned}-{name}.webp", lossy, lossy=True)


def rest() -> Iterator[Picture]:
    """Kinds that need one size only, and what both clients refuse."""
    color = Image.fromarray(photo(60, 44, 1))
    gray = np.random.default_rng(1).integers(0, 65_536, (20, 30), dtype=np.uint16)
    photo_file = saved(color, "JPEG")
    yield Picture("interlaced.png", interlaced(photo(61, 47, 2)))
    yield Picture("bitmap.bmp", saved(color, "BMP"))
    yield Picture("palette.gif", saved(color.quantize(64), "GIF"))
    yield Picture("wide.png", saved(Image.fromarray(photo(6000, 8, 3)), "PNG"))
    yield Picture("one-pixel.png", saved(color.crop((0, 0, 1, 1)), "PNG"))
    yield Picture("deep.png", saved(Image.fromarray(gray), "PNG"))
    deep = bytes((0, *range(48)))
    yield Picture("deep-color.png", image_files.png(8, 1, 16, 2, deep))
    yield Picture("print.jpg", saved(color.convert("CMYK"), "JPEG"))
    yield Picture("large.png", image_files.png(10_001, 10_000, 8, 0, b""))
    yield Picture("cut.png", saved(color, "PNG")[:-100])
    yield Picture("cut.jpg", photo_file[: len(photo_file) // 2])
    yield Picture("cut.webp", saved(color, "WEBP")[:-100])
    yield Picture("note.jpg", b"no picture")


def interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """An interlaced PNG, which Pillow reads and doesn't write."""
    height, width, _ = pixels.shape
    rows = b"".join(
        b"\0" + row.tobytes()
        for left, top, across, down in image_files.SCAN_PASSES
        for row in pixels[top::down, left::across]
    )
    return image_files.png(width, height, 8, 2, rows, interlaced=True)


def small_set() -> list[Picture]:
    """A few dozen: each kind once, in some size."""
    return [*pngs(97, 64, 5), *photos(203, 310, 6), *photos(8, 8, 7), *rest()]


def large_set() -> Iterator[Picture]:
    """Two hundred and more, of up to 24 million pixels."""
    sizes = (
        (8, 8),
        (31, 64),
        (100, 75),
        (333, 500),
        (640, 480),
        (64, 97),
        (500, 20),
        (30, 400),
        (224, 224),
        (257, 255),
    )
    for seed, size in enumerate(sizes):
        yield from pngs(*size, seed)
        yield from photos(*size, seed)
    for seed in range(10, 14):
        yield from photos(60 * seed, 400, seed)
    yield from islice(pngs(2000, 1500, 20), 2)
    yield from islice(photos(6000, 4000, 21), 3)
    yield from rest()

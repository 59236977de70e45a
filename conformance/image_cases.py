"""Vectors for pictures: from pixels, and from PNG files, to the bytes that a model takes. See conformance/pictures.md.

>>> sorted(build())
['boxes', 'exif', 'files', 'tensors']
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedrela.conformance import image_files
from fedrela.core import streams
from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import TensorSpec
from fedrela.edge.sources import orientation, picture_files, pictures

# Why a picture is refused -> what the error says of it. The first that fits counts.
REFUSALS = {
    "colored": "is colored",
    "size": "and the model takes",
    "depth": "more than 8 bits",
    "print": "is CMYK",
    "too-large": "is too large",
    "damaged": "can't be decoded",
}
SIZES = ((1, 1), (8, 8), (13, 7), (7, 13), (30, 20), (9, 31))  # width, height
TARGETS = ((3, 8, 8), (1, 5, 9), (3, 12, 4))  # channels, height, width
PHOTOS = ((4032, 3024), (3024, 4032), (1920, 1080), (65_535, 1_525), (1, 65_535), (641, 479))
WIDE = ((65_535, 1), (1, 20_000), (4_000, 3))


def build() -> dict[str, Any]:
    """The document images.json."""
    return {
        "boxes": [_boxes(size, target) for size in (*SIZES, *PHOTOS) for target in ((32, 32), (28, 40), (5, 3))],
        "exif": [{"block": block.hex(), "orientation": orientation.parse(block)} for block in _blocks()],
        "tensors": _tensors(),
        "files": [_file(name, body) for name, body in picture_bodies().items()],
    }


def _boxes(size: tuple[int, int], target: tuple[int, int]) -> dict[str, Any]:
    return {
        "size": list(size),
        "target": list(target),
        "crop": list(pictures.crop_box(size, target)),
        "pad": list(pictures.pad_box(size, target)),
    }


def _blocks() -> list[bytes]:
    good = [image_files.exif(value, order=order, before=value % 3) for order in "<>" for value in range(10)]
    others = [image_files.exif(6, kind=4), image_files.exif(6, count=2), good[6][:8], good[6][:-10], b"", b"Exif\0\0"]
    far = good[6][:4] + b"\xff\xff\xff\xff" + good[6][8:]
    return [*good, *others, far, b"Exif\0\0" + good[6], b"xx" + good[6]]


def _tensors() -> list[dict[str, Any]]:
    cases = []
    for fit in ("stretch", "crop", "pad"):
        for size in SIZES:
            for target in TARGETS:
                cases.append(_tensor(f"{fit} {size} to {target}", size, target, grayscale=True, fit=fit))
        for size in WIDE:
            cases.append(_tensor(f"{fit} {size}", size, (3, 2, 3), bytes(range(0, 252, 2)), grayscale=True, fit=fit))
    white = bytes([255]) * 4
    cases.append(_tensor("white stays white", (65_535, 1), (3, 1, 1), white, fit="stretch"))
    for turned in range(1, 9):
        cases.append(_tensor(f"orientation {turned}", (7, 5), (3, 4, 6), turned=turned, fit="crop"))
    cases += [
        _tensor("exact", (5, 4), (3, 4, 5)),
        _tensor("exact when turned", (5, 4), (3, 5, 4), turned=6),
        _tensor("exact until turned", (5, 4), (3, 4, 5), turned=6),
        _tensor("another size", (5, 4), (3, 5, 4)),
        _tensor("resize of bundles made before", (5, 4), (3, 3, 3), resize=True),
        _tensor("resize has no say beside fit", (5, 4), (3, 3, 3), resize=True, fit="pad"),
        _tensor("colored", (5, 4), (1, 4, 5)),
        _tensor("colored and grayed", (5, 4), (1, 4, 5), grayscale=True),
        _tensor("colors of gray", (2, 2), (1, 2, 2), bytes((7, 7, 7, 255, 9, 9, 9, 128))),
        _tensor("colored where nobody sees it", (2, 2), (1, 2, 2), bytes((7, 8, 9, 0))),
        _tensor("opaque and clear", (2, 1), (3, 1, 2), bytes((1, 2, 3, 255, 4, 5, 6, 0))),
        _tensor("every opacity", (256, 1), (3, 1, 256), bytes(v for a in range(256) for v in (0, 127, 200, a))),
    ]
    return cases


def _tensor(
    name: str,
    size: tuple[int, int],
    target: tuple[int, int, int],
    rgba: bytes = b"",
    turned: int = 1,
    **how: Any,
) -> dict[str, Any]:
    width, height = size
    rgba = rgba or _noise(name, 4 * width * height)
    preprocessing = Preprocessing("image", **how)
    repeated = np.resize(np.frombuffer(rgba, np.uint8), (height, width, 4))
    case = {
        "name": name,
        "width": width,
        "height": height,
        "rgba": base64.b64encode(rgba).decode(),  # repeated until the picture is full
        "orientation": turned,
        "shape": list(target),
        "preprocessing": how,
    }
    try:
        spec = TensorSpec("x", ("B", *target), "uint8")
        made = pictures.tensor(Image.fromarray(repeated), turned, name, spec, preprocessing)
    except InvalidData as error:
        return case | {"refused": _reason(error)}
    return case | {"expected": base64.b64encode(made.tobytes()).decode()}


def _noise(name: str, count: int) -> bytes:
    """Bytes from the stream of a name; every third pixel is opaque."""
    words: NDArray[np.uint32] = streams.words(streams.derive(b"images", name), count)
    noise = (words >> np.uint32(24)).astype(np.uint8)
    noise[3::12] = 255
    return noise.tobytes()


def _file(name: str, body: bytes) -> dict[str, Any]:
    case: dict[str, Any] = {"name": name, "body": base64.b64encode(body).decode()}
    try:
        image, turned = picture_files.decode(body, name)
    except InvalidData as error:
        return case | {"refused": _reason(error)}
    rgb = pictures.over_white(image).convert("RGB")
    pixels = base64.b64encode(rgb.tobytes()).decode()
    return case | {"width": image.width, "height": image.height, "orientation": turned, "rgb": pixels}


def _reason(error: InvalidData) -> str:
    return next(reason for reason, words in REFUSALS.items() if words in error.problem)


def picture_bodies() -> dict[str, bytes]:
    """Name -> PNG, or the head of a JPEG; not all of them can be read."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
    palette = image_files.chunk(b"PLTE", _noise("palette", 48))
    files: dict[str, bytes] = {}
    for color, depths in ((0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))):
        for depth in depths:
            before = (palette,) if color == 3 else ()
            for interlaced in (False, True):
                name = f"color {color} of {depth} bits" + (", interlaced" if interlaced else "")
                rows = _rows(name, 11, 9, depth * channels[color], 16 if color == 3 else 256, interlaced)
                files[name] = image_files.png(11, 9, depth, color, rows, before=before, interlaced=interlaced)
                if interlaced and depth < 8:
                    cut = image_files.png(11, 9, depth, color, rows[:-1], before=before, interlaced=True)
                    files[f"{name}, its last byte missing"] = cut
    for depth in (1, 2, 4, 8):
        clear = image_files.chunk(b"tRNS", bytes((0, 1)))
        rows = _rows(f"gray {depth}", 11, 9, depth, 2 if depth == 8 else 256, False)
        files[f"gray of {depth} bits, one of them clear"] = image_files.png(11, 9, depth, 0, rows, before=(clear,))
    return files | _special_files(palette)


def _special_files(palette: bytes) -> dict[str, bytes]:
    def eight(*, before: tuple[bytes, ...] = (), after: tuple[bytes, ...] = (), color: int = 0) -> bytes:
        return image_files.png(2, 2, 8, color, bytes((0, 1, 2, 0, 3, 4)), before=before, after=after)

    turned = image_files.chunk(b"eXIf", image_files.exif(6))
    clear = image_files.chunk(b"tRNS", bytes((0, 255, 128, 3)))
    color = image_files.chunk(b"tRNS", bytes((0, 1, 0, 2, 0, 3)))
    whole = eight()
    return {
        "palette with opacities": eight(before=(palette, clear), color=3),
        "palette that is too short": eight(before=(image_files.chunk(b"PLTE", b"abcdef"),), color=3),
        "one color is clear": image_files.png(2, 1, 8, 2, bytes((0, 1, 2, 3, 1, 2, 4)), before=(color,)),
        "turned": eight(before=(turned,)),
        "turned after its pixels": eight(after=(turned,)),
        "a broken profile": eight(
            before=(image_files.chunk(b"iCCP", b"x\0\0no profile"), image_files.chunk(b"gAMA", bytes(4)))
        ),
        "without an end": whole[:-12],
        "a wrong checksum": whole[:29] + bytes(4) + whole[33:],
        "pixels cut short": whole[:-24],
        "a wrong sum of its pixels": image_files.png(2, 2, 8, 0, b"")[:-12].replace(
            image_files.chunk(b"IDAT", image_files.stored(b"")),
            image_files.chunk(b"IDAT", image_files.stored(bytes((0, 1, 2, 0, 3, 4)))[:-1] + b"!"),
        ),
        "a row is missing": image_files.png(2, 3, 8, 0, bytes((0, 1, 2, 0, 3, 4))),
        "half a row is missing": image_files.png(2, 2, 8, 0, bytes((0, 1, 2, 0, 3))),
        "more rows than its header says": image_files.png(2, 1, 8, 0, bytes((0, 1, 2, 0, 3, 4))),
        "a palette after its pixels": eight(after=(palette,), color=3),
        "opacities after its pixels": eight(before=(palette,), after=(clear,), color=3),
        "two headers": whole[:33] + whole[8:33] + whole[33:],
        "an unknown filter": image_files.png(2, 1, 8, 0, bytes((5, 1, 2))),
        "depth 3": image_files.png(2, 1, 3, 0, bytes(2)),
        "no pixels": whole[:33],
        "nothing": b"",
        "100 million pixels and more": image_files.png(10_001, 10_000, 8, 0, b""),
        "a side of 65,536": image_files.png(65_536, 1, 8, 0, b""),
        "JPEG of four colors": image_files.jpeg_header(8, 8, 4),
        "JPEG of 12 bits": image_files.jpeg_header(8, 8, 3, bits=12),
        "JPEG of two colors": image_files.jpeg_header(8, 8, 2),
        "JPEG that is too large": image_files.jpeg_header(65_535, 65_535, 3),
    }


def _rows(name: str, width: int, height: int, bits: int, below: int, interlaced: bool) -> bytes:
    """Filtered rows of noise: every filter in turn."""
    rows = []
    for left, top, step_x, step_y in image_files.SCAN_PASSES if interlaced else ((0, 0, 1, 1),):
        columns, lines = -(-(width - left) // step_x), -(-(height - top) // step_y)
        for line in range(lines if columns > 0 else 0):
            noise = np.frombuffer(_noise(f"{name} {left} {top} {line}", -(-columns * bits // 8)), np.uint8)
            filtered = 0 if below < 256 else line % 5
            rows.append(bytes((filtered,)) + (noise % below if below < 256 and bits == 8 else noise).tobytes())
    return b"".join(rows)

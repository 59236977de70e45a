"""What happens to decoded pixels, against laws and an independent triangle filter in numpy."""

import io
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array, TensorSpec
from fedrela.edge.sources import images, orientation, pictures

sides = st.integers(1, 60)
pixels = st.integers(0, 2**32 - 1).map(np.random.default_rng)


def triangle_weights(size: int, target: int) -> NDArray[np.int64]:
    """(target, size) whole numbers of 2**22 each: a triangle as wide as the scale, or as two pixels where it grows."""
    # Every length in units of 1 / (2 * target) of a pixel of the source, so that all of them are whole.
    centers = (2 * np.arange(target, dtype=np.int64) + 1) * size
    places = (2 * np.arange(size, dtype=np.int64) + 1) * target
    heights = np.maximum(0, 2 * max(size, target) - np.abs(places - centers[:, None]))
    sums = heights.sum(axis=1, keepdims=True)
    return (heights * 2**23 + sums) // (2 * sums)


def triangle(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(height, width, channels) in another size: rows first, then columns, 8 bits in between."""
    for axis, target in ((1, size[0]), (0, size[1])):
        if image.shape[axis] != target:
            moved = np.moveaxis(image.astype(np.int64), axis, -1)
            summed = moved @ triangle_weights(image.shape[axis], target).T + (1 << 21)
            image = np.moveaxis(np.clip(summed >> 22, 0, 255), -1, axis).astype(np.uint8)
    return image


def spec(channels: int, width: int, height: int) -> TensorSpec:
    return TensorSpec("x", ("B", channels, height, width), "uint8")


def tensor(image: Array, shape: tuple[int, int, int], turned: int = 1, **how: Any) -> Array:
    """Of pixels (height, width, 3 or 4) or (height, width)."""
    members: dict[str, Any] = {"grayscale": True, "fit": "stretch"} | how
    return pictures.tensor(Image.fromarray(image), turned, "it", spec(*shape), Preprocessing("image", **members))


@given(pixels, sides, sides, sides, sides)
def test_stretching_is_the_triangle_filter(rng, width, height, target_width, target_height):
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    got = tensor(image, (3, target_width, target_height))
    np.testing.assert_array_equal(got.transpose(1, 2, 0), triangle(image, (target_width, target_height)))


LARGE = [((4000, 3), (7, 5)), ((65_535, 1), (1, 1)), ((1, 3001), (2, 1000)), ((12, 6000), (8, 9))]


@pytest.mark.parametrize(("size", "target"), LARGE)
def test_large_scales_too(size, target):
    image = np.random.default_rng(1).integers(200, 256, (size[1], size[0], 3), dtype=np.uint8)
    np.testing.assert_array_equal(tensor(image, (3, *target)).transpose(1, 2, 0), triangle(image, target))


@given(sides, sides, sides, sides)
def test_the_crop_is_centered_and_as_large_as_it_can_be(width, height, target_width, target_height):
    left, top, right, bottom = pictures.crop_box((width, height), (target_width, target_height))
    assert 0 <= (width - right) - left <= 1
    assert 0 <= (height - bottom) - top <= 1
    exact = Fraction(target_width, target_height)
    if Fraction(width, height) > exact:
        expected = max(1, int(height * exact)), height
    else:
        expected = width, max(1, int(width / exact))
    assert (right - left, bottom - top) == expected


@given(sides, sides, sides, sides)
def test_the_padded_picture_is_centered_and_touches_two_edges(width, height, target_width, target_height):
    left, top, right, bottom = pictures.pad_box((width, height), (target_width, target_height))
    wide, high = right - left, bottom - top
    assert (wide == target_width) or (high == target_height)
    assert 0 <= (target_width - right) - left <= 1
    assert 0 <= (target_height - bottom) - top <= 1
    scale = min(Fraction(target_width, width), Fraction(target_height, height))
    assert wide == max(1, int(width * scale + Fraction(1, 2)))
    assert high == max(1, int(height * scale + Fraction(1, 2)))


@given(pixels, sides, sides, sides, sides)
def test_crop_and_pad_are_stretches_of_their_boxes(rng, width, height, target_width, target_height):
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    target = (target_width, target_height)
    left, top, right, bottom = pictures.crop_box((width, height), target)
    cropped = tensor(image, (3, *target), fit="crop")
    np.testing.assert_array_equal(cropped.transpose(1, 2, 0), triangle(image[top:bottom, left:right], target))
    left, top, right, bottom = pictures.pad_box((width, height), target)
    padded = tensor(image, (3, *target), fit="pad").transpose(1, 2, 0).copy()
    inner = padded[top:bottom, left:right]
    np.testing.assert_array_equal(inner, triangle(image, (right - left, bottom - top)))
    inner[:] = 0
    assert not padded.any()


def test_gray_is_pillows_weighted_sum_of_what_lies_on_white():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (50, 40, 4), dtype=np.uint8)
    image[:2, :, 3], image[2:4, :, 3] = 0, 255
    exact = image[..., :3].astype(object) * image[..., 3:].astype(object) + 255 * (255 - image[..., 3:].astype(object))
    white = np.array([[int(Fraction(value, 255) + Fraction(1, 2)) for value in row] for row in exact.reshape(-1, 3)])
    np.testing.assert_array_equal(tensor(image, (3, 40, 50)).transpose(1, 2, 0).reshape(-1, 3), white)
    gray = (white @ [19595, 38470, 7471] + 32768) >> 16
    np.testing.assert_array_equal(tensor(image, (1, 40, 50)).reshape(-1), gray)


def test_bands_of_a_large_picture_do_not_show(monkeypatch):
    image = np.random.default_rng(3).integers(0, 256, (50, 40, 4), dtype=np.uint8)
    whole = tensor(image, (3, 40, 50))
    monkeypatch.setattr(pictures, "_BAND_PIXELS", 120)
    np.testing.assert_array_equal(tensor(image, (3, 40, 50)), whole)


def test_orientations_are_the_eight_symmetries():
    """Where the first pixel and its neighbors to the right and below come to lie, as EXIF says."""
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    expected = {
        1: [[0, 1, 2], [3, 4, 5]],
        2: [[2, 1, 0], [5, 4, 3]],
        3: [[5, 4, 3], [2, 1, 0]],
        4: [[3, 4, 5], [0, 1, 2]],
        5: [[0, 3], [1, 4], [2, 5]],
        6: [[3, 0], [4, 1], [5, 2]],
        7: [[5, 2], [4, 1], [3, 0]],
        8: [[2, 5], [1, 4], [0, 3]],
    }
    for turned, rows in expected.items():
        got = tensor(image, (1, len(rows[0]), len(rows)), turned, fit="exact")
        assert got[0].tolist() == rows


@pytest.mark.parametrize("value", range(10))
@pytest.mark.parametrize("order", "<>")
def test_the_orientation_is_read_from_exif(value, order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x0112] = value
    exif[0x010F] = "a camera"
    body = exif.tobytes()
    expected = value if 1 <= value <= 8 else 1
    assert orientation.parse(body) == orientation.parse(body.removeprefix(b"Exif\0\0")) == expected
    for length in range(len(body)):
        assert orientation.parse(body[:length]) in (1, expected)


@given(st.binary(max_size=60).map(lambda rest: b"II*\0" + rest))
def test_any_exif_gives_an_orientation(body):
    assert 1 <= orientation.parse(body) <= 8


def test_what_the_model_does_not_take_is_refused():
    image = np.zeros((5, 9, 3), np.uint8)
    with pytest.raises(InvalidData, match=r"it is 9x5 and the model takes 4x4; .*--resize crop"):
        tensor(image, (3, 4, 4), fit="exact")
    with pytest.raises(InvalidData, match="it is 5x9 and"):
        tensor(image, (3, 9, 5), 6, fit="exact")
    assert tensor(image, (1, 4, 4), grayscale=False).shape == (1, 4, 4)  # an RGB file of grays
    image[4, 8, 0] = 1
    with pytest.raises(InvalidData, match="it is colored"):
        tensor(image, (1, 4, 4), grayscale=False)


def test_resize_of_bundles_made_before_means_stretch():
    assert Preprocessing(resize=True).fit == "stretch"
    assert Preprocessing(resize=False).fit == "exact"
    assert Preprocessing(resize=True, fit="pad").fit == "pad"
    assert Preprocessing(resize=True, fit="exact").fit == "exact"


def test_files_of_every_mode():
    rng = np.random.default_rng(4)
    gray = rng.integers(0, 256, (6, 7), dtype=np.uint8)
    files: dict[str, tuple[Image.Image, Array]] = {
        "gray": (Image.fromarray(gray), gray),
        "palette": (Image.fromarray(gray).convert("P"), gray),
        "bits": (Image.fromarray(gray >= 128), np.where(gray >= 128, np.uint8(255), np.uint8(0))),
        "opaque": (Image.merge("LA", [Image.fromarray(gray), Image.new("L", (7, 6), 255)]), gray),
        "clear": (Image.merge("LA", [Image.fromarray(gray), Image.new("L", (7, 6), 0)]), np.full((6, 7), 255)),
    }
    for name, (image, expected) in files.items():
        body = io.BytesIO()
        image.save(body, "PNG")
        how = Preprocessing("image")
        np.testing.assert_array_equal(images.decode(body.getvalue(), name, spec(1, 7, 6), how)[0], expected)
        colored = images.decode(body.getvalue(), name, spec(3, 7, 6), replace(how, grayscale=True))
        np.testing.assert_array_equal(colored, np.stack([expected] * 3))

"""Input specifications, and the in-graph pipeline against a loop over single images."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.core.errors import InvalidInput
from fedrela.export.inputs import Pipeline, RawInput, parse, parse_all, parse_augment

IMAGE = RawInput("x", "uint8", (2, 5, 4))


def one_image(pixels, mean, std, padding, crop, flip):
    """Pad with black, cut a window, mirror, normalize: one image at a time."""
    _, height, width = pixels.shape
    padded = torch.zeros(2, height + 2 * padding, width + 2 * padding)
    padded[:, padding : padding + height, padding : padding + width] = pixels / 255
    top, left = (min(int(u * (2 * padding + 1)), 2 * padding) for u in crop)
    window = padded[:, top : top + height, left : left + width]
    window = window.flip(2) if flip < 0.5 else window
    return (window - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_crop_and_flip_equal_a_loop(seed, padding):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(256, (6, *IMAGE.shape), generator=generator, dtype=torch.uint8)
    crop, flip = torch.rand(6, 2, generator=generator), torch.rand(6, generator=generator)
    pipeline = Pipeline((0.4, 0.5), (0.2, 0.3), padding, True)
    ours = pipeline(IMAGE, x, {"augment.crop": crop, "augment.flip": flip})
    loop = [
        one_image(x[i].float(), (0.4, 0.5), (0.2, 0.3), padding, crop[i].tolist(), flip[i].item()) for i in range(6)
    ]
    assert torch.allclose(ours, torch.stack(loop), atol=1e-6)


def test_uniforms_of_one_half_change_nothing():
    x = torch.randint(256, (3, *IMAGE.shape), dtype=torch.uint8)
    still = {"augment.crop": torch.full((3, 2), 0.5), "augment.flip": torch.full((3,), 0.5)}
    assert torch.equal(Pipeline(crop_padding=4, flip=True)(IMAGE, x, still), Pipeline()(IMAGE, x, {}))


@pytest.mark.parametrize(
    "bad", ["3x8x8", "uint8:", "uint8:0x3", "float16:3", "uint8:3:5", "int64:50", "float32:3x", "a b=float32:3"]
)
def test_bad_specifications_are_refused(bad):
    with pytest.raises(InvalidInput):
        parse(bad)


def test_several_inputs_need_names_of_their_own():
    assert [raw.name for raw in parse_all(["image=uint8:1x4x4", "age=float32:1"])] == ["image", "age"]
    for bad in (["float32:1", "float32:2"], ["sample_weight=float32:1"], []):
        with pytest.raises(InvalidInput):
            parse_all(bad)


@pytest.mark.parametrize(
    "name", ["y", "class_prior", "probabilities", "loss_sum", "correct_sum", "new.weight", "anchor.weight", "dropout.0"]
)
def test_a_name_that_the_programs_use_is_refused(name):
    with pytest.raises(InvalidInput, match=f"an input is named '{name}'.*; rename it"):
        parse_all(f"{name}=float32:4")


def test_augmentation_options():
    assert parse_augment("crop=2, flip", Pipeline()) == Pipeline(crop_padding=2, flip=True)
    assert parse_augment("", Pipeline()) == Pipeline()
    with pytest.raises(InvalidInput, match="rotate"):
        parse_augment("rotate", Pipeline())

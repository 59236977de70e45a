"""Resizing as matrix products: torch's own values and gradients, and the modes that are refused."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.resize import interpolate
from fedrela.export.layers.rewriting import Rewriting

NEAREST: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 5), {"scale_factor": 2}),
    ((2, 3, 4, 5), {"scale_factor": (1.5, 0.6)}),
    ((2, 3, 7, 5), {"size": (3, 11)}),
    ((2, 3, 7, 5), {"size": 4}),
    ((2, 3, 5, 7), {"scale_factor": 1.3, "recompute_scale_factor": True}),
    ((2, 3, 1, 1), {"size": [3, 2]}),
    ((2, 3, 7), {"size": 10}),
]
CASES = [(shape, settings | {"mode": mode}) for shape, settings in NEAREST for mode in ("nearest", "nearest-exact")] + [
    (shape, settings | {"mode": "linear" if len(shape) == 3 else "bilinear", "align_corners": align})
    for shape, settings in NEAREST
    for align in (False, True)
]


@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_values_and_gradients_are_those_of_torch(shape, settings):
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(shape, generator=generator).requires_grad_()
    expected = F.interpolate(x, **settings)
    actual = interpolate(x, **settings)
    torch.testing.assert_close(actual, expected)
    grad = torch.randn(expected.shape, generator=generator)
    torch.testing.assert_close(torch.autograd.grad(actual, x, grad), torch.autograd.grad(expected, x, grad))


def test_linear_worked_by_hand():
    x = torch.tensor([[[0.0, 4.0]]])
    aligned = interpolate(x, size=3, mode="linear", align_corners=True)
    centered = interpolate(x, scale_factor=2, mode="linear")
    assert aligned.tolist() == [[[0.0, 2.0, 4.0]]]
    assert centered.tolist() == [[[0.0, 1.0, 3.0, 4.0]]]


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear"])
def test_a_constant_map_stays_constant_and_its_own_size_changes_nothing(mode):
    torch.testing.assert_close(
        interpolate(torch.full((1, 2, 5, 3), 7.0), (8, 2), mode=mode), torch.full((1, 2, 8, 2), 7.0)
    )
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    torch.testing.assert_close(interpolate(x, (3, 4), mode=mode), x)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        ((1, 1, 4, 4), {"mode": "bicubic"}),
        ((1, 1, 4, 4), {"mode": "area"}),
        ((1, 1, 4, 4), {"mode": "bilinear", "antialias": True}),
        ((1, 1, 4, 4, 4), {"mode": "nearest"}),
    ],
)
def test_other_modes_are_refused(shape, settings):
    with pytest.raises(UnsupportedOperation, match="interpolate"):
        interpolate(torch.zeros(shape), scale_factor=2, **settings)


def test_a_model_that_resizes_takes_this_way():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    layer = torch.nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    expected = layer(x)
    with Rewriting(None, torch.rand):
        torch.testing.assert_close(layer(x), expected)
        with pytest.raises(UnsupportedOperation):
            F.interpolate(x, scale_factor=2, mode="bicubic")

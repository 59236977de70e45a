"""Sampling at places that a model works out: torch's own values, and gradients of the map and of the places."""

from itertools import product

import pytest
import torch
import torch.nn.functional as F

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.gridsample import affine_grid, grid_sample


@pytest.mark.parametrize(
    ("mode", "padding", "align"), list(product(("bilinear", "nearest"), ("zeros", "border"), (False, True)))
)
def test_values_and_gradients_are_those_of_torch(mode, padding, align):
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    grid = (torch.rand(2, 4, 6, 2, dtype=torch.float64) * 3 - 1.5).requires_grad_()
    settings = {"mode": mode, "padding_mode": padding, "align_corners": align}
    found, expected = grid_sample(x, grid, **settings), F.grid_sample(x, grid, **settings)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((value * weights).sum(), (x, grid)) for value in (found, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("padding", "align"), list(product(("zeros", "border"), (False, True))))
def test_gradients_at_whole_places_and_at_the_edges_are_those_of_torch(padding, align, dtype):
    """Those of the identity, where a spatial transformer begins, and of whole steps beyond the edges."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 8, dtype=dtype, requires_grad=True)
    theta = torch.tensor([[[1.0, 0, 0], [0, 1, 0]], [[2.0, 0, 0], [0, 2, 0]]], dtype=dtype)
    grid = F.affine_grid(theta, [2, 3, 4, 8], align_corners=align).requires_grad_()
    found, expected = (
        function(x, grid, padding_mode=padding, align_corners=align) for function in (grid_sample, F.grid_sample)
    )
    torch.testing.assert_close(found, expected)
    upstream = torch.randn(expected.shape, dtype=dtype)
    ours, theirs = (torch.autograd.grad(value, (x, grid), upstream) for value in (found, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (2, 1, 1, 3)])
def test_places_of_an_affine_map_are_those_of_torch(size, align):
    torch.manual_seed(0)
    theta = torch.randn(2, 2, 3)
    expected = F.affine_grid(theta, list(size), align_corners=align)
    torch.testing.assert_close(affine_grid(theta, torch.Size(size), align), expected)


def test_other_ways_are_refused():
    x, grid = torch.zeros(1, 1, 3, 3), torch.zeros(1, 2, 2, 2)
    for settings in ({"mode": "bicubic"}, {"padding_mode": "reflection"}):
        with pytest.raises(UnsupportedOperation, match="grid_sample with mode="):
            grid_sample(x, grid, **settings)
    with pytest.raises(UnsupportedOperation, match="affine_grid of volumes"):
        affine_grid(torch.zeros(1, 3, 4), torch.Size((1, 1, 2, 2, 2)))

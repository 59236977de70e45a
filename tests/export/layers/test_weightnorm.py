"""Weight normalization against torch's own, with gradients."""

import pytest
import torch

from fedrela.export.layers.weightnorm import weight_norm


@pytest.mark.parametrize(("dim", "shape"), [(0, (4, 1, 1)), (1, (1, 3, 1)), (2, (1, 1, 2)), (-1, ())])
def test_it_is_torchs(dim, shape):
    torch.manual_seed(0)
    v, g = torch.randn(4, 3, 2, requires_grad=True), torch.randn(shape, requires_grad=True)
    ours, theirs = weight_norm(v, g, dim), torch._weight_norm(v, g, dim)
    assert torch.allclose(ours, theirs)
    upstream = torch.randn(4, 3, 2)
    for mine, reference in zip(
        torch.autograd.grad(ours, (v, g), upstream), torch.autograd.grad(theirs, (v, g), upstream), strict=True
    ):
        assert torch.allclose(mine, reference, atol=1e-6)

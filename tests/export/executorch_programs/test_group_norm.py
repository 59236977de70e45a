"""GroupNorm from centered inputs against torch's own."""

import pytest
import torch
from torch._decomp.decompositions import native_group_norm_backward as decomposed

from fedrela.export.executorch_programs import group_norm as ours

aten = torch.ops.aten
N, CHANNELS, GROUPS = 3, 6, 2


def given(mean=0.0):
    """x, gradient, weight and bias."""
    torch.manual_seed(0)
    x = torch.randn(N, CHANNELS, 4, 5) + mean
    return x, torch.randn_like(x), torch.rand(CHANNELS), torch.randn(CHANNELS)


@pytest.mark.parametrize("groups", [1, GROUPS, CHANNELS])
@pytest.mark.parametrize("weighted", [True, False])
def test_it_is_torchs(groups, weighted):
    x, grad, weight, bias = given()
    if not weighted:
        weight = bias = None
    arguments = (N, CHANNELS, 20, groups)
    y, mean, rstd = ours.native_group_norm(x, weight, bias, *arguments, 1e-5)
    theirs = aten.native_group_norm(x, weight, bias, *arguments, 1e-5)
    for mine, reference in zip((y, mean, rstd), theirs, strict=True):
        assert torch.allclose(mine, reference, atol=1e-6)
    backward = (grad, x, mean, rstd, weight, *arguments)
    references = aten.native_group_norm_backward(*backward, [True, weighted, weighted])
    for mine, reference in zip(
        ours.native_group_norm_backward(*backward, [True, weighted, weighted]), references, strict=True
    ):
        assert (mine is None) == (reference is None)
        assert mine is None or torch.allclose(mine, reference, atol=1e-5)


@pytest.mark.parametrize("groups", [1, GROUPS, CHANNELS])
def test_inputs_far_from_zero_cost_its_gradients_less_than_torchs_decomposition(groups):
    x, grad, weight, _ = given(mean=100.0)
    arguments = (N, CHANNELS, 20, groups)
    exact = x.double(), weight.double()
    statistics = [t.float() for t in aten.native_group_norm(*exact, None, *arguments, 1e-5)[1:]]
    backward = (grad, x, *statistics, weight, *arguments, [True, True, True])
    truth = decomposed(*(t.double() if isinstance(t, torch.Tensor) else t for t in backward))
    for mine, theirs, right in zip(
        ours.native_group_norm_backward(*backward), decomposed(*backward), truth, strict=True
    ):
        off = [float((result - right).abs().max()) for result in (mine, theirs)]
        assert off[0] <= 0.3 * off[1] or torch.equal(mine, theirs), off

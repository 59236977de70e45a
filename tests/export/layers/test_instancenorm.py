"""Instance normalization by groups against torch's own, with and without running statistics."""

import copy

import pytest
import torch
from torch import nn

from fedrela.export.layers import instancenorm


def images(count):
    return torch.randn(count, 3, 4, 5, generator=torch.Generator().manual_seed(0))


def run(layer, x, counts):
    """What the rule makes of a layer in training mode; the layer's running statistics change."""
    rule = instancenorm.rule(counts)
    return rule(
        x, layer.running_mean, layer.running_var, layer.weight, layer.bias, True, layer.momentum or 0.0, layer.eps
    )


@pytest.mark.parametrize(("affine", "tracked"), [(False, False), (True, False), (True, True), (False, True)])
def test_it_is_torchs(affine, tracked):
    layer = nn.InstanceNorm2d(3, affine=affine, track_running_stats=tracked, momentum=0.3)
    ours = copy.deepcopy(layer)
    for counts in (None, torch.ones(6)):
        assert torch.allclose(run(ours, images(6), counts), layer(images(6)), atol=1e-6)
        for name, value in layer.named_buffers():
            if name != "num_batches_tracked":
                assert torch.allclose(dict(ours.named_buffers())[name], value)


def test_only_examples_that_count_enter_the_running_statistics():
    padded, alone = (nn.InstanceNorm2d(3, track_running_stats=True) for _ in range(2))
    run(padded, images(6), torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0, 0.0]))
    alone(images(6)[[0, 1, 1]])
    assert torch.allclose(padded.running_mean, alone.running_mean)
    assert torch.allclose(padded.running_var, alone.running_var)


def test_a_batch_in_which_nothing_counts_leaves_them_alone():
    layer = nn.InstanceNorm2d(3, track_running_stats=True)
    run(layer, images(2), torch.zeros(2))
    assert torch.equal(layer.running_mean, torch.zeros(3))
    assert torch.equal(layer.running_var, torch.ones(3))


def test_in_evaluation_it_uses_them():
    layer = nn.InstanceNorm2d(3, track_running_stats=True).eval()
    ours = instancenorm.rule(None)(images(2), layer.running_mean + 1, layer.running_var, use_input_stats=False, eps=0.0)
    assert torch.allclose(ours, images(2) - 1)

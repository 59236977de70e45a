"""Pooling in three dimensions and in one: torch's own values and gradients, ties included."""

import pytest
import torch
import torch.nn.functional as F

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.rewriting import Rewriting

POOLS = {
    "max": lambda x: F.max_pool3d(x, 2),
    "max, overlapping, padded": lambda x: F.max_pool3d(x, 3, 2, 1),
    "max, uneven, dilated": lambda x: F.max_pool3d(x, (2, 1, 3), (1, 2, 1), (1, 0, 1), (2, 1, 1)),
    "max, ceiling": lambda x: F.max_pool3d(x, 2, 3, ceil_mode=True),
    "max of one example": lambda x: F.max_pool3d(x[0], 2),
    "mean": lambda x: F.avg_pool3d(x, (1, 2, 3)),
    "mean, padded": lambda x: F.avg_pool3d(x, 3, 2, 1),
    "mean, padding left out": lambda x: F.avg_pool3d(x, 3, 1, 1, count_include_pad=False),
    "mean, ceiling": lambda x: F.avg_pool3d(x, 2, 3, 1, ceil_mode=True),
    "sum": lambda x: F.avg_pool3d(x, 2, divisor_override=3),
    "adaptive mean": lambda x: F.adaptive_avg_pool3d(x, (2, 3, None)),
    "adaptive mean of all": lambda x: F.adaptive_avg_pool3d(x, 1),
    "adaptive max": lambda x: F.adaptive_max_pool3d(x, (2, 1, 5)),
}


SIGNALS = {
    "adaptive mean of a signal": lambda x: F.adaptive_avg_pool1d(x.flatten(2), 4),
    "adaptive mean of a whole signal": lambda x: F.adaptive_avg_pool1d(x.flatten(2), 1),
    "adaptive max of a signal": lambda x: F.adaptive_max_pool1d(x.flatten(2), 4),
}
POOLS |= SIGNALS


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("name", POOLS)
def test_values_and_gradients_are_those_of_torch(name, ties):
    torch.manual_seed(0)
    drawn = torch.randint(3, (2, 3, 6, 7, 5)) if ties else torch.randn(2, 3, 6, 7, 5)
    x = drawn.double().requires_grad_()
    expected = POOLS[name](x)
    with Rewriting(None, torch.rand):
        found = POOLS[name](x)
    torch.testing.assert_close(found, expected)
    weights = torch.arange(expected.numel(), dtype=torch.float64).reshape(expected.shape)
    gradients = (torch.autograd.grad((value * weights).sum(), x)[0] for value in (found, expected))
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    "pool",
    [lambda x: F.max_pool3d(x, 2, return_indices=True), lambda x: F.adaptive_max_pool3d(x, (4, 7, 5))],
)
def test_what_has_no_form_is_refused(pool):
    with pytest.raises(UnsupportedOperation, match="max_pool3d"), Rewriting(None, torch.rand):
        pool(torch.zeros(1, 1, 6, 7, 5))

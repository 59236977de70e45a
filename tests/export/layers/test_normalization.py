"""The written-out gradient of batch normalization against torch's own, in float64."""

import pytest
import torch
import torch.nn.functional as F

from fedrela.export.layers.batchnorm import weighted
from fedrela.export.layers.normalization import Normalization

SHAPES = [(6, 5), (6, 5, 7), (6, 5, 4, 3)]


@pytest.mark.parametrize("shape", SHAPES)
def test_examples_of_weight_zero_count_nowhere(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    x, grad = (torch.randn(shape, generator=generator, dtype=torch.float64) * 2 + 3 for _ in range(2))
    scale, shift = (torch.rand(5, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    weight = torch.tensor([1.0, 1, 1, 1, 0, 0], dtype=torch.float64)
    inputs = (x.requires_grad_(), scale, shift)
    ours, theirs = ((torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)) for _ in range(2))
    y = weighted(x, weight, *ours, scale, shift, 0.1, 1e-5)[:4]
    expected = F.batch_norm(x[:4], *theirs, scale, shift, True, 0.1, 1e-5)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(
        torch.autograd.grad((y * grad[:4]).sum(), inputs), torch.autograd.grad((expected * grad[:4]).sum(), inputs)
    )


def test_gradients_pass_finite_differences_for_uneven_weights() -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(4, 3, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    scale, shift = (torch.rand(3, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2))
    share = torch.tensor([0.5, 1.0, 0.25, 0.25], dtype=torch.float64) / 4
    assert torch.autograd.gradcheck(lambda *a: Normalization.apply(*a, share, 1e-3)[0], (x, scale, shift))

"""Running sums in the logarithm: torch's own values and gradients, finite where torch's are."""

import pytest
import torch
from torch import nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.inputs import parse
from fedrela.export.layers.rewriting import Rewriting
from fedrela.export.layers.spelled_out import LONGEST, logcumsumexp
from fedrela.export.recipe import Recipe
from fedrela.export.verification.comparison import training_errors
from fedrela.export.verification.equality import TOLERANCE


@pytest.mark.parametrize(("shape", "dim"), [((3, 5), 1), ((3, 5), 0), ((2, 4, 3), -2), ((), 0), ((2, 1), 1)])
@pytest.mark.parametrize("scale", [1, 300])
def test_values_and_gradients_are_those_of_torch(shape, dim, scale):
    generator = torch.Generator().manual_seed(1)
    x = (scale * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
    found, expected = logcumsumexp(x, dim), torch.logcumsumexp(x, dim)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn(shape, generator=generator, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad(value, x, upstream) for value in (found, expected))
    torch.testing.assert_close(ours, theirs)


def test_a_long_dimension_is_refused():
    with pytest.raises(UnsupportedOperation, match=f"{LONGEST + 1} values"):
        logcumsumexp(torch.zeros(2, LONGEST + 1), 1)


class _AcrossExamples(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(torch.logcumsumexp(x, 0))


def test_the_batch_is_refused():
    with pytest.raises(UnsupportedOperation, match="over the batch"):
        training_errors(_AcrossExamples(), Recipe(inputs=(parse("float32:4"),), classes=3), "onnx")


def test_a_function_and_a_method_are_rewritten():
    x = torch.zeros(2, LONGEST + 1)
    for call in (lambda: torch.logcumsumexp(x, dim=1), lambda: x.logcumsumexp(1)):
        with pytest.raises(UnsupportedOperation), Rewriting(None, torch.zeros):
            call()


class _Falling(nn.Module):
    """Values from 0 to -4000, where the exponential of each difference is 0."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(4, 5), nn.Linear(5, 3)
        self.register_buffer("steps", torch.arange(5.0) * -1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.logcumsumexp((self.layer(x) + self.steps).flip(1), 1) / 1000)


@pytest.mark.parametrize("runtime", ["onnx", "executorch"])
def test_a_program_stays_finite(runtime):
    torch.manual_seed(0)
    errors = training_errors(_Falling(), Recipe(inputs=(parse("float32:4"),), classes=3), runtime)
    assert max(errors.values()) <= TOLERANCE

"""Powers by other means against torch's own, numbers below 0, zero and infinity included."""

import pytest
import torch

from fedrela.export.executorch_programs import forms, powers
from fedrela.export.executorch_programs.program import lower
from fedrela.export.tracing.trace import trace

NUMBERS = [-float("inf"), -3.0, -1.0, -0.5, 0.0, 1e-30, 0.25, 1.0, 2.0, 1e4, float("inf")]
EXPONENTS = [-3.0, -2.0, -0.5, 0.0, 0.3, 0.5, 1.0, 2.0, 3.0, 8.0]


@pytest.mark.parametrize("exponent", [-2, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 8])
def test_powers_are_products_and_roots(exponent):
    x = torch.tensor([0.25, 1.0, 3.0])
    assert torch.allclose(powers.of_tensor(x, exponent), x**exponent)


@pytest.mark.parametrize("exponent", [-8.5, -0.75, 0.3, 0.75, 2.25])
def test_any_other_power_is_one_of_e(exponent):
    x = torch.tensor([0.0, 1e-30, 0.25, 1.0, 3.0, 1e4, float("inf"), -2.0])
    torch.testing.assert_close(powers.of_tensor(x, exponent), x**exponent, rtol=1e-4, atol=0, equal_nan=True)


@pytest.mark.parametrize("exponent", [9, -10.0])
def test_a_large_whole_power_stays_whole(exponent):
    assert powers.of_tensor(torch.ones(2), exponent) is NotImplemented


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_numbers_of_any_sign_to_an_exponent_each(exponent):
    x = torch.tensor(NUMBERS)
    expected = x ** torch.full_like(x, exponent)
    mine = powers.of_tensors(x, torch.full_like(x, exponent))
    decided = ~(x.isinf() & (x < 0) & (exponent != int(exponent)))  # torch has an infinity there, not a power
    torch.testing.assert_close(mine[decided], expected[decided], rtol=1e-5, atol=0, equal_nan=True)


@pytest.mark.parametrize("number", [-2.0, 0.0, 0.1, 1.0, 2.0, 10_000.0])
def test_one_number_to_many_exponents(number):
    exponent = torch.tensor(EXPONENTS)
    torch.testing.assert_close(powers.of_number(number, exponent), number**exponent, rtol=1e-5, atol=0, equal_nan=True)


@pytest.mark.parametrize("x", [torch.tensor([-2.0, 0.5]), torch.tensor([2, 3], dtype=torch.int32), 0.5, -3.0, 2])
def test_whole_exponents_of_floats_and_the_other_way_round(x):
    other = torch.tensor([1, 3], dtype=torch.int32)
    whole = not x.is_floating_point() if isinstance(x, torch.Tensor) else isinstance(x, int)
    exponent = other.float() if whole else other
    mine = (powers.of_tensors if isinstance(x, torch.Tensor) else powers.of_number)(x, exponent)
    torch.testing.assert_close(mine, torch.pow(x, exponent), rtol=1e-6, atol=0)


@pytest.mark.parametrize("power", [powers.of_number, powers.of_tensors])
def test_whole_numbers_stay_whole_numbers(power):
    assert power(torch.tensor([2]) if power is powers.of_tensors else 2, torch.tensor([3])) is NotImplemented


def test_the_runtime_has_kernels_for_what_a_model_makes_of_them():
    def step(x):
        slopes = torch.pow(torch.tensor(0.5), torch.arange(1.0, 5.0)) + 10_000 ** (torch.arange(4.0) / 4)
        y = (x.abs() + 1) ** slopes
        return y, *torch.autograd.grad(y.sum(), x)

    x = torch.randn(3, 4, requires_grad=True)
    assert lower(trace(step, (x,), (("B", 4),), table=forms.table()), max_batch=8)

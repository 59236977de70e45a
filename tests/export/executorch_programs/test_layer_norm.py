"""Layer normalization and its gradients on the runtime itself, of what lies far from zero for its spread."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fedrela.export.executorch_programs import forms
from fedrela.export.executorch_programs.program import METHOD, lower
from fedrela.export.tracing.trace import trace

EPS = 1e-6


def by_rows(x: Tensor, grad: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, (32,), weight[0], bias[0], EPS)


def by_two_axes(x: Tensor, grad: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, (7, 32), weight, bias, EPS)


def plain(x: Tensor, grad: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x, (32,), eps=EPS) * weight + bias


@pytest.mark.parametrize("far", [0.0, 3.0, 30.0, -100.0])
@pytest.mark.parametrize("norm", [by_rows, by_two_axes, plain])
def test_it_is_as_exact_as_float32_allows(norm: Callable[..., Tensor], far: float) -> None:
    from executorch.extension.pybindings import portable_lib

    def step(x: Tensor, grad: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
        x, weight, bias = (value.detach().requires_grad_() for value in (x, weight, bias))
        y = norm(x, grad, weight, bias)
        return (y.detach(), *torch.autograd.grad(y, (x, weight, bias), grad))

    torch.manual_seed(0)
    given = (torch.randn(3, 7, 32) * 0.5 + far, torch.randn(3, 7, 32), torch.rand(7, 32) + 0.5, torch.rand(7, 32))
    shapes = (("B", 7, 32), ("B", 7, 32), (7, 32), (7, 32))
    body = lower(trace(step, given, shapes, table=forms.table(), max_batch=8), max_batch=8)
    found = portable_lib._load_for_executorch_from_buffer(body).run_method(METHOD, given)
    exact = step(*(value.double() for value in given))
    for value, true in zip(found, exact, strict=True):
        error = float((value - true).abs().max() / true.abs().max())
        assert error <= 1e-6 + 1e-6 * abs(far), error  # as many digits as x itself has left

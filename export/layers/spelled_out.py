"""Functions that no runtime has, or none in a form that stays finite, written in those that all have.

>>> bilinear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]), torch.tensor([[[1.0], [10.0]]]))
tensor([[63.]])
>>> logcumsumexp(torch.tensor([-300.0, 0.0, 200.0]), 0)
tensor([-300.,    0.,  200.])
"""

import math

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from fedrela.core.errors import UnsupportedOperation

LONGEST = 256  # the work of logcumsumexp grows with the square


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = x1^T W_o x2 + b_o as two products of matrices: x1 (..., I), x2 (..., J), weight (O, I, J) -> (..., O)."""
    outputs, left, right = weight.shape
    rows = x1.reshape(-1, left) @ weight.permute(1, 0, 2).reshape(left, outputs * right)
    product = (rows.reshape(-1, outputs, right) * x2.reshape(-1, 1, right)).sum(2)
    product = product if bias is None else product + bias
    return product.reshape(*x1.shape[:-1], outputs)


def logcumsumexp(input: Tensor, dim: int) -> Tensor:  # noqa: A002
    """`torch.logcumsumexp`, each value with those before it. Raises UnsupportedOperation over more than LONGEST.

    ONNX has only the logarithm of a running sum of exponentials, which overflows or vanishes where the result doesn't.
    """
    if input.dim() == 0:
        return input.clone()
    size = input.shape[dim]
    if not isinstance(size, int) or size > LONGEST:
        raise UnsupportedOperation(
            f"logcumsumexp over {size} values" if isinstance(size, int) else "logcumsumexp over the batch",
            remedy=f"use it over another dimension, of at most {LONGEST} values",
        )
    with _disable_current_modes():  # a constant of the program, not a part of its graph
        later = torch.ones(size, size, dtype=torch.bool).triu(1)
    pairs = input.movedim(dim, -1).unsqueeze(-2).masked_fill(later, -math.inf)
    return torch.logsumexp(pairs, -1).movedim(-1, dim)

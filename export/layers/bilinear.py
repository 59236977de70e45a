"""y_o = x1^T W_o x2 + b_o as two products of matrices.

>>> import torch
>>> bilinear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]), torch.tensor([[[1.0], [10.0]]]))
tensor([[63.]])
"""

from torch import Tensor


def bilinear(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1 (..., I), x2 (..., J), weight (O, I, J) -> (..., O)."""
    outputs, left, right = weight.shape
    rows = x1.reshape(-1, left) @ weight.permute(1, 0, 2).reshape(left, outputs * right)
    product = (rows.reshape(-1, outputs, right) * x2.reshape(-1, 1, right)).sum(2)
    product = product if bias is None else product + bias
    return product.reshape(*x1.shape[:-1], outputs)

"""Weight normalization, w = g v / |v|, in operators that have gradients everywhere.

Salimans and Kingma, "Weight Normalization", NIPS 2016; torch.nn.utils.parametrizations.weight_norm.

    >>> weight_norm(torch.tensor([[3.0, 4.0]]), torch.tensor([[10.0]]), 0)
    tensor([[6., 8.]])
"""

import torch
from torch import Tensor


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """What replaces `torch._weight_norm`: the norm is over all dimensions but `dim`, over all of them if it is -1."""
    axis = dim % v.dim() if dim != -1 else None
    others = [d for d in range(v.dim()) if d != axis]
    return v * (g / torch.sqrt((v * v).sum(others, keepdim=True)))

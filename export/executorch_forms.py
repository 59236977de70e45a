"""What each ATen operator becomes for ExecuTorch: forms that its kernels have, compute rightly, and run fast.

ExecuTorch has no kernel for many backward operators, a wrong one for max-pooling's, and plain loops behind others that
have a fast equivalent. May import torch, `export.trace` and the forms of convolution and pooling.

    >>> import torch
    >>> grad, y = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 2.0])
    >>> threshold_backward(grad, y, 0).tolist()
    [0.0, 1.0]
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from export import executorch_convolution as conv
from export import trace

aten = torch.ops.aten

# Operators that `export.trace` should leave whole for this runtime.
KEEP: frozenset[torch._ops.OpOverload] = frozenset(
    {
        aten.convolution_backward.default,
        aten.max_pool2d_with_indices.default,
        aten.max_pool2d_with_indices_backward.default,
        aten.avg_pool2d_backward.default,
        aten.threshold_backward.default,
    }
)
_HUGE = 1e38


def table() -> dict[Any, Callable[..., Any]]:
    """Operator -> form, for `ExportedProgram.run_decompositions`: everything of `trace`, ours where ours is better."""
    return {
        **trace.decompositions(),
        aten.convolution.default: conv.convolution,
        aten.convolution_backward.default: conv.convolution_backward,
        aten.threshold_backward.default: threshold_backward,
        aten.addmm.default: addmm,
    }


def threshold_backward(grad: Tensor, y: Tensor, threshold: float) -> Tensor:
    """grad where y > 0, else 0, for any y >= 0: clamping y * 1e76 to [0, 1] is far faster than comparing.

    Two factors of 1e38, so that the smallest subnormal number still becomes 1. A NaN in y stays one.
    """
    if threshold != 0:
        return torch.where(y > threshold, grad, torch.zeros((), dtype=grad.dtype))
    return grad * torch.clamp(torch.clamp(y * _HUGE, -_HUGE, _HUGE) * _HUGE, 0.0, 1.0)


def addmm(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """A product and a sum: the fused kernel is a plain loop, the product's is not."""
    result = torch.mm(left, right)
    if alpha != 1:
        result = result * alpha
    return result + (bias if beta == 1 else bias * beta)

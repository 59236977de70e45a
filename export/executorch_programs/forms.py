"""What each ATen operator becomes for ExecuTorch: forms that its kernels have, compute rightly, and run fast.

ExecuTorch has no kernel for many backward operators, a wrong one for max-pooling's, and plain loops behind others that
have a fast equivalent.

    >>> import torch
    >>> grad, y = torch.tensor([1.0, 1.0]), torch.tensor([0.0, 2.0])
    >>> threshold_backward(grad, y, 0).tolist()
    [0.0, 1.0]
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, cast

import torch
from torch import Tensor
from torch._decomp import get_decompositions

from fedrela.export.executorch_programs import convolution as conv
from fedrela.export.executorch_programs import group_norm as group
from fedrela.export.executorch_programs import loops, powers
from fedrela.export.executorch_programs import pooling as pool
from fedrela.export.executorch_programs.strides import column, reorder, row_sums
from fedrela.export.tracing import trace
from fedrela.export.tracing.trace import WHOLE

aten = torch.ops.aten

_HUGE = 1e38


def table() -> dict[Any, Callable[..., Any]]:
    """Operator -> form, for `fedrela.export.tracing.trace`: torch's decompositions, ours where ours is better."""
    return {
        **trace.decompositions(frozenset({aten.hardtanh.default, aten.select_scatter.default})),
        **get_decompositions([aten.linalg_vector_norm.default]),
        **loops.rules(),
        aten.convolution.default: conv.convolution,
        aten.convolution_backward.default: conv.convolution_backward,
        aten.native_group_norm.default: group.native_group_norm,
        aten.native_group_norm_backward.default: group.native_group_norm_backward,
        aten.threshold_backward.default: threshold_backward,
        aten.hardtanh_backward.default: hardtanh_backward,
        aten.clamp.default: clamp,
        aten.add.Tensor: partial(broadcast, aten.add.Tensor),
        aten.sub.Tensor: partial(broadcast, aten.sub.Tensor),
        aten.mul.Tensor: partial(broadcast, aten.mul.Tensor),
        aten.addmm.default: addmm,
        aten.permute.default: permute,
        aten.transpose.int: transpose,
        aten.t.default: lambda x: transpose(x, 0, 1) if x.dim() == 2 else x,
        aten.squeeze.dim: squeeze,
        aten.squeeze.dims: squeeze,
        aten.unsqueeze.default: unsqueeze,
        aten.flip.default: flip,
        aten.pow.Tensor_Scalar: powers.of_tensor,
        aten.pow.Scalar: powers.of_number,
        aten.pow.Tensor_Tensor: powers.of_tensors,
        aten.sum.dim_IntList: total,
        aten.mean.dim: mean,
        aten.constant_pad_nd.default: constant_pad_nd,
        aten.sort.default: in_order,
        aten.sort.stable: in_order,
        aten.max_pool2d_with_indices.default: pool.max_pool2d_with_indices,
        aten.max_pool2d_with_indices_backward.default: pool.max_pool2d_with_indices_backward,
        aten.avg_pool2d_backward.default: pool.avg_pool2d_backward,
        aten._adaptive_avg_pool2d_backward.default: pool.adaptive_avg_pool2d_backward,
        aten.adaptive_max_pool2d.default: pool.adaptive_max_pool2d,
        aten.adaptive_max_pool2d_backward.default: pool.scatter_planes,
    }


def threshold_backward(grad: Tensor, y: Tensor, threshold: float) -> Tensor:
    """grad where y > 0, else 0: bounding y * 1e76 to [0, 1] is far faster than comparing. A NaN in y stays one."""
    if threshold != 0:
        return torch.where(y > threshold, grad, torch.zeros((), dtype=grad.dtype))
    return grad * positive(y)


def hardtanh_backward(grad: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """grad where low < x < high, else 0; likewise, from the result, which the next layer keeps anyway.

    Differences of floats have the right sign, however small; so has their product where the bounds are far apart.
    """
    if 1 <= high - low < _HUGE:
        y = aten.hardtanh.default(x, low, high)
        return grad * positive((y - low if low else y) * (high - y))
    return grad * (positive(x - low) * positive(high - x))


def positive(x: Tensor) -> Tensor:
    """1 where x > 0, else 0. Two factors of 1e38, so that the smallest subnormal number still becomes 1."""
    result: Tensor = aten.hardtanh.default(x * _HUGE * _HUGE, 0.0, 1.0)
    return result


def clamp(x: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """Between two bounds: the same as hardtanh, whose kernel is five times as fast. Else whole (NotImplemented)."""
    if x.dtype != torch.float32 or low is None or high is None or low > high:
        return WHOLE
    result: Tensor = aten.hardtanh.default(x, float(low), float(high))
    return result


def broadcast(operator: Any, left: Any, right: Any, *, alpha: float = 1) -> Tensor:
    """One number for each row, map or volume, as a matrix and a column: five times as fast as in any other shape.

    Every other pair of operands stays whole (NotImplemented).
    """
    tensors = isinstance(left, Tensor) and isinstance(right, Tensor)
    if not tensors or alpha != 1 or {left.dtype, right.dtype} != {torch.float32}:
        return WHOLE
    small, whole = column(right, left), left
    if small is None:
        small, whole = column(left, right), right
    if small is None:
        return WHOLE
    matrix = whole.reshape(small.shape[0], -1)
    result: Tensor = operator(matrix, small) if whole is left else operator(small, matrix)
    return result.reshape(whole.shape)


def addmm(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """A product and a sum: the fused kernel is a plain loop, the product's is not."""
    result = torch.mm(left, right)
    if alpha != 1:
        result = result * alpha
    return result + (bias if beta == 1 else bias * beta)


def permute(x: Tensor, dims: Sequence[int]) -> Tensor:
    """A strided copy: `permute_copy` is many times as slow."""
    return reorder(x, [dim % x.dim() for dim in dims])


def transpose(x: Tensor, first: int, second: int) -> Tensor:
    """Likewise."""
    order = list(range(x.dim()))
    order[first], order[second] = order[second], order[first]
    return reorder(x, order)


def squeeze(x: Tensor, dims: int | Sequence[int]) -> Tensor:
    """A reshape, which costs nothing: the kernel copies."""
    axes = [dims] if isinstance(dims, int) else dims
    gone = {d % max(1, x.dim()) for d in axes}
    return x.reshape([size for d, size in enumerate(x.shape) if d not in gone or size != 1])


def unsqueeze(x: Tensor, dim: int) -> Tensor:
    """Likewise."""
    shape = list(x.shape)
    shape.insert(dim % (x.dim() + 1), 1)
    return x.reshape(shape)


def flip(x: Tensor, dims: Sequence[int]) -> Tensor:
    """Whole rows, maps or steps in another order: the kernel goes number by number. Any other stays whole."""
    dim = dims[0] % max(1, x.dim()) if len(dims) == 1 else x.dim() - 1
    if dim >= x.dim() - 1 or not isinstance(x.shape[dim], int):
        return WHOLE
    result: Tensor = aten.index_select.default(x, dim, torch.arange(x.shape[dim] - 1, -1, -1))
    return result


def total(x: Tensor, dims: Sequence[int] | None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """The sum over trailing dimensions of known size as a product with ones, several times as fast as `sum`.

    What is left of `dims`, the batch say, stays a sum; any other sum stays whole (NotImplemented).
    """
    axes = sorted(d % max(1, x.dim()) for d in dims or ())
    trailing = _trailing(x, axes)
    if x.dtype != torch.float32 or dtype not in (None, x.dtype) or not trailing:
        return WHOLE
    outer, inner = x.shape[: x.dim() - trailing], prod(x.shape[x.dim() - trailing :])
    result = row_sums(x.reshape(prod(outer), inner)).reshape([*outer, *[1] * (trailing if keepdim else 0)])
    rest = axes[:-trailing]
    return result.sum(rest, keepdim=keepdim) if rest else result


def mean(x: Tensor, dims: Sequence[int] | None, keepdim: bool = False, *, dtype: torch.dtype | None = None) -> Tensor:
    """Likewise; stays whole (NotImplemented) where a dimension is open or not among the last."""
    axes = sorted(d % max(1, x.dim()) for d in dims or ())
    if _trailing(x, axes) != len(axes):
        return WHOLE
    summed = total(x, axes, keepdim, dtype=dtype)
    return summed if summed is WHOLE else summed / prod(x.shape[d] for d in axes)


def _trailing(x: Tensor, dims: Sequence[int]) -> int:
    """How many of the last dimensions are among `dims` and of a known size above 0."""
    count = 0
    while x.dim() - 1 - count in dims and isinstance(size := x.shape[x.dim() - 1 - count], int) and size:
        count += 1
    return count


def constant_pad_nd(x: Tensor, amounts: Sequence[int], value: float = 0.0) -> Tensor:
    """Negative amounts, which the kernel refuses, are cuts; without one the operator stays whole (NotImplemented)."""
    if all(amount >= 0 for amount in amounts):
        return WHOLE
    for i in range(len(amounts) // 2):
        dim = x.dim() - 1 - i
        first, last = max(0, -amounts[2 * i]), x.shape[dim] - max(0, -amounts[2 * i + 1])
        if (first, last) != (0, x.shape[dim]):
            x = aten.slice.Tensor(x, dim, first, last)
    rest = [max(0, amount) for amount in amounts]
    return aten.constant_pad_nd.default(x, rest, value) if any(rest) else x


def in_order(
    x: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> tuple[Tensor, Tensor]:
    """Sorted values and where they come from: all of the largest or smallest, for there is no kernel that sorts.

    Of an open dimension it stays whole (NotImplemented), and then nothing runs it.
    """
    count = x.shape[dim] if x.dim() else 1
    if not isinstance(count, int):
        return cast(tuple[Tensor, Tensor], WHOLE)
    values, places = torch.topk(x, count, dim, largest=descending)
    return values, places

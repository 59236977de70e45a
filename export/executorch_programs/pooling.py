"""Pooling and its gradients for ExecuTorch, whose own max-pooling gradient adds to memory that it never cleared.

Windows that don't overlap are strided copies, compared or spread by arithmetic. Every other average is linear in each
axis, so its gradient is two small matrix products; every other maximum sends its gradient to the index that the forward
kernel found.

Shapes: x (..., H, W), y and grad (..., L, M).

    >>> import torch
    >>> x = torch.tensor([[[[1.0, 3.0], [3.0, 2.0]]]])
    >>> y, index = max_pool2d_with_indices(x, [2, 2], [2, 2])
    >>> max_pool2d_with_indices_backward(torch.ones_like(y), x, [2, 2], [2, 2], [0, 0], [1, 1], False, index).tolist()
    [[[[0.0, 1.0], [0.0, 0.0]]]]
"""

from collections.abc import Sequence
from math import prod
from typing import cast

import torch
from torch import Tensor

from fedrela.export.executorch_programs.strides import reorder, row_major, windows_apart

aten = torch.ops.aten
Sizes = Sequence[int]
_HUGE = 1e38


def max_pool2d_with_indices(
    x: Tensor, kernel_size: Sizes, stride: Sizes = (), padding: Sizes = (0,), dilation: Sizes = (1,), ceil: bool = False
) -> tuple[Tensor, Tensor]:
    """aten.max_pool2d_with_indices; stays whole (NotImplemented) where windows overlap or are cut."""
    kernel = _pair(kernel_size)
    if not _apart(x, kernel, _pair(stride or kernel), _pair(padding), _pair(dilation), ceil):
        return cast(tuple[Tensor, Tensor], NotImplemented)
    parts = windows_apart(x, kernel)
    largest = _largest(parts)
    width, columns = x.shape[-1], largest.shape[-1]
    # The indices are dead code unless a model asks for them: torch's count of positions inside one (H, W) plane.
    index = torch.zeros_like(largest, dtype=torch.int64)
    for offset in reversed(range(len(parts))):
        index = torch.where(parts[offset] == largest, offset, index)
    rows = torch.arange(largest.shape[-2]).reshape(-1, 1) * (kernel[0] * width)
    corner = rows + torch.arange(columns).reshape(1, -1) * kernel[1]
    within = torch.div(index, kernel[1], rounding_mode="floor") * width + torch.remainder(index, kernel[1])
    return largest, within + corner


def max_pool2d_with_indices_backward(
    grad: Tensor,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    ceil: bool,
    indices: Tensor,
) -> Tensor:
    """Each window's gradient goes to the first of its largest elements, exactly."""
    kernel = _pair(kernel_size)
    if not _apart(x, kernel, _pair(stride or kernel), _pair(padding), _pair(dilation), ceil):
        return scatter_planes(grad, x, indices)
    parts = windows_apart(x, kernel)
    largest = _largest(parts)
    shares, free = [], None
    for offset, part in enumerate(parts):
        # 1 where part == largest, else 0: no difference is positive, and 1e76 times even the smallest is past -1.
        equal = torch.clamp((part - largest) * _HUGE * _HUGE + 1.0, 0.0, 1.0)
        taken = equal if free is None else equal * free
        shares.append(grad * taken)
        if offset < len(parts) - 1:
            free = 1.0 - equal if free is None else free - taken
    return _spread_apart(shares, kernel, x)


def scatter_planes(grad: Tensor, x: Tensor, indices: Tensor) -> Tensor:
    """Add grad (..., L, M) to zeros like x (..., H, W) at `indices` of each plane."""
    planes = x.shape[:-2]
    flat = torch.zeros((*planes, prod(x.shape[-2:])), dtype=grad.dtype)
    places, values = indices.reshape(*planes, -1), grad.reshape(*planes, -1)
    return torch.scatter_add(flat, len(planes), places, values).reshape(x.shape)


def avg_pool2d_backward(
    grad: Tensor,
    x: Tensor,
    kernel_size: Sizes,
    stride: Sizes,
    padding: Sizes,
    ceil: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """Each window's gradient, divided by what its sum was divided by, goes to all of the window."""
    kernel, steps, pads = _pair(kernel_size), _pair(stride or kernel_size), _pair(padding)
    if _apart(x, kernel, steps, pads, (1, 1), ceil):
        return _spread_apart([grad * (1.0 / (divisor_override or prod(kernel)))] * prod(kernel), kernel, x)
    axes, counts = [], []
    for d in range(2):
        low = torch.arange(grad.shape[-2 + d]) * steps[d] - pads[d]
        axes.append(_membership(low, low + kernel[d], x.shape[-2 + d]))
        edge = pads[d] if count_include_pad else 0
        reach = torch.clamp(low + kernel[d], max=x.shape[-2 + d] + edge) - torch.clamp(low, min=-edge)
        counts.append(reach.to(grad.dtype))
    divisor = float(divisor_override) if divisor_override else counts[0].reshape(-1, 1) * counts[1].reshape(1, -1)
    return _two_products(grad / divisor, axes[0], axes[1])


def adaptive_avg_pool2d_backward(grad: Tensor, x: Tensor) -> Tensor:
    """aten._adaptive_avg_pool2d_backward."""
    axes = []
    for d in range(2):
        low, high = _bins(x.shape[-2 + d], grad.shape[-2 + d])
        share = _membership(low, high, x.shape[-2 + d])
        axes.append(share / (high - low).to(grad.dtype).reshape(-1, 1))
    return _two_products(grad, axes[0], axes[1])


def adaptive_max_pool2d(x: Tensor, output_size: Sizes) -> tuple[Tensor, Tensor]:
    """Bins as windows of one size: a shorter bin repeats its last element, which the first maximum never is."""
    gathered, tables = x, []
    for d in range(2):
        dim = x.dim() - 2 + d
        low, high = _bins(x.shape[dim], output_size[d])
        longest = max(
            -(-(i + 1) * x.shape[dim] // output_size[d]) - i * x.shape[dim] // output_size[d]
            for i in range(output_size[d])
        )
        table = torch.minimum(low.reshape(-1, 1) + torch.arange(longest).reshape(1, -1), (high - 1).reshape(-1, 1))
        tables.append((table.reshape(-1), longest))
        gathered = torch.index_select(gathered, dim, table.reshape(-1))
    (rows, tall), (columns, wide) = tables
    largest, index = aten.max_pool2d_with_indices.default(gathered, [tall, wide], [tall, wide])
    total = gathered.shape[-1]
    row = torch.index_select(rows, 0, torch.div(index, total, rounding_mode="floor").reshape(-1))
    column = torch.index_select(columns, 0, torch.remainder(index, total).reshape(-1))
    return largest, (row * x.shape[-1] + column).reshape(index.shape)


def _apart(x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil: bool) -> bool:
    """Windows lie side by side, and none reaches over the edge."""
    whole = not ceil or all(x.shape[-2 + d] % kernel[d] == 0 for d in range(2))
    return tuple(stride) == tuple(kernel) and not any(padding) and set(dilation) == {1} and whole


def _largest(parts: Sequence[Tensor]) -> Tensor:
    largest = parts[0]
    for part in parts[1:]:
        largest = torch.maximum(largest, part)
    return largest


def _spread_apart(shares: Sequence[Tensor], kernel: Sizes, x: Tensor) -> Tensor:
    """One tensor (..., L, M) per position inside a window, as (..., H, W); zeros beyond the last window."""
    *planes, rows, columns = shares[0].shape
    outer = prod(planes)
    if all(share is shares[0] for share in shares):
        strides = row_major([outer, rows, columns])
        sizes = [outer, rows, kernel[0], columns, kernel[1]]
        spread = torch.as_strided_copy(shares[0].contiguous(), sizes, [strides[0], strides[1], 0, strides[2], 0], 0)
    else:
        stacked = torch.cat([share.reshape(1, outer, rows, columns) for share in shares])
        spread = reorder(stacked.reshape(*kernel, outer, rows, columns), (2, 3, 0, 4, 1))
    spread = spread.reshape(*planes, rows * kernel[0], columns * kernel[1])
    missing = [x.shape[-1] - columns * kernel[1], x.shape[-2] - rows * kernel[0]]
    return torch.constant_pad_nd(spread, [0, missing[0], 0, missing[1]], 0.0) if any(missing) else spread


def _bins(size: int, count: int) -> tuple[Tensor, Tensor]:
    """First and one past the last position of each adaptive bin, (count,) int64."""
    index = torch.arange(count)
    return (
        torch.div(index * size, count, rounding_mode="floor"),
        torch.div((index + 1) * size + count - 1, count, rounding_mode="floor"),
    )


def _membership(low: Tensor, high: Tensor, size: int) -> Tensor:
    """(windows, size) float32: 1 where low <= position < high."""
    position = torch.arange(size).reshape(1, -1)
    inside = (position >= low.reshape(-1, 1)) & (position < high.reshape(-1, 1))
    return inside.to(torch.float32)


def _two_products(grad: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """rows^T grad columns for every plane: grad (..., L, M), rows (L, H), columns (M, W) to (..., H, W)."""
    *planes, length, width = grad.shape
    outer = prod(planes)
    wide = torch.mm(grad.reshape(outer * length, width), columns).reshape(outer, length, columns.shape[1])
    turned = reorder(wide, (0, 2, 1)).reshape(outer * columns.shape[1], length)
    tall = torch.mm(turned, rows).reshape(outer, columns.shape[1], rows.shape[1])
    return reorder(tall, (0, 2, 1)).reshape(*planes, rows.shape[1], columns.shape[1])


def _pair(value: int | Sizes) -> tuple[int, int]:
    sizes = [value] if isinstance(value, int) else list(value)
    return (sizes[0], sizes[-1])

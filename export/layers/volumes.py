"""Pooling in three dimensions as pooling of maps and then of depth: no runtime has a gradient of the other.

Maxima and sums over a box are those over its depth of those over its maps; of equal maxima the first in (depth, row,
column) is found either way.

    >>> max_pool3d(torch.arange(8.0).reshape(1, 1, 2, 2, 2), 2)
    tensor([[[[[7.]]]]])
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.pooling import means

Sizes = int | Sequence[int]
_MAX_POOL: Any = F.max_pool2d
_AVG_POOL: Any = F.avg_pool2d


def max_pool3d(
    x: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Tensor:  # fmt: skip
    """`torch.nn.functional.max_pool3d` of x ([B,] C, D, H, W). Raises UnsupportedOperation for indices."""
    if return_indices:
        raise UnsupportedOperation("max_pool3d with return_indices=True", remedy="leave the indices out")
    windows = (_three(value) for value in (kernel_size, stride or kernel_size, padding, dilation))
    return _maps_then_depth(x, lambda maps, *window: _MAX_POOL(maps, *window, ceil_mode), *windows)


def avg_pool3d(
    x: Tensor, kernel_size: Sizes, stride: Any = None, padding: Sizes = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """`torch.nn.functional.avg_pool3d` of x (B, C, D, H, W) or (C, D, H, W)."""
    divisor = 1 if divisor_override else None
    windows = (_three(value) for value in (kernel_size, stride or kernel_size, padding))
    y = _maps_then_depth(
        x, lambda maps, *window: _AVG_POOL(maps, *window, ceil_mode, count_include_pad, divisor), *windows
    )
    return y / divisor_override if divisor_override else y


def adaptive_avg_pool3d(x: Tensor, output_size: Any) -> Tensor:
    """`torch.nn.functional.adaptive_avg_pool3d` of x (B, C, D, H, W): a constant matrix of means for each axis."""
    sizes, out = _sizes(x, output_size)
    if out == (1, 1, 1):
        return x.mean((-3, -2, -1), keepdim=True)
    depth, rows, columns = (means(size, parts).to(x.dtype) for size, parts in zip(sizes, out, strict=True))
    maps = torch.matmul(rows, torch.matmul(x, columns.T))
    return torch.matmul(depth, maps.flatten(-2)).reshape(*x.shape[:-3], *out)


def adaptive_max_pool3d(x: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
    """`torch.nn.functional.adaptive_max_pool3d` where sizes divide. Raises UnsupportedOperation where they don't."""
    sizes, out = _sizes(x, output_size)
    if return_indices or any(size % want for size, want in zip(sizes, out, strict=True)):
        raise UnsupportedOperation(
            f"adaptive_max_pool3d from {sizes} to {out}",
            remedy="choose an output that the input's size is a multiple of",
        )
    return max_pool3d(x, [size // want for size, want in zip(sizes, out, strict=True)])


def _maps_then_depth(x: Tensor, pool: Callable[..., Tensor], *windows: tuple[int, int, int]) -> Tensor:
    """`pool` two-dimensional maps, by what `windows` say of rows and columns, then depth, by what they say of it."""
    if x.dim() == 4:
        return _maps_then_depth(x[None], pool, *windows)[0]
    batch, channels, depth, *_ = x.shape
    kernel, stride, *rest = windows
    maps = pool(x.flatten(1, 2), *(window[1:] for window in windows))
    neutral = ((kernel[0], 1), (stride[0], 1), (rest[0][0], 0), *((window[0], 1) for window in rest[1:]))
    pooled = pool(maps.reshape(batch, channels, depth, -1), *neutral)
    return pooled.reshape(batch, channels, -1, *maps.shape[2:])


def _three(value: Sizes) -> tuple[int, int, int]:
    first, second, third = [value] * 3 if isinstance(value, int) else (list(value) * 3)[:3]
    return first, second, third


def _sizes(x: Tensor, output_size: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Depth, height and width of x and of the output."""
    requested = (output_size,) * 3 if isinstance(output_size, int) else tuple(output_size)
    sizes = tuple(int(size) for size in x.shape[-3:])
    return sizes, tuple(size if want is None else want for size, want in zip(sizes, requested, strict=True))

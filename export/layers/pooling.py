"""Adaptive pooling: means by constant matrices; maxima by max pooling, or one by one where sizes don't divide.

>>> adaptive_max_pool2d(torch.arange(6.0).reshape(1, 1, 2, 3), (1, 2))
tensor([[[[4., 5.]]]])
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes

from fedrela.core.errors import UnsupportedOperation

_MAX_POOL = F.max_pool2d


def adaptive_avg_pool2d(x: Tensor, output_size: int | tuple[int | None, ...]) -> Tensor:
    """`torch.nn.functional.adaptive_avg_pool2d` of x (B, C, H, W): a constant matrix of means for each axis."""
    sizes, out = _sizes(x, output_size)
    if out == [1, 1]:  # torch's own describes it anew in place where channels lie last, as behind ConvNeXt's permutes
        return x.mean((-1, -2), keepdim=True)
    rows, columns = (means(size, parts) for size, parts in zip(sizes, out, strict=True))
    return torch.matmul(rows, torch.matmul(x, columns.T))


def adaptive_max_pool2d(x: Tensor, output_size: int | tuple[int | None, ...], return_indices: bool = False) -> Tensor:
    """`torch.nn.functional.adaptive_max_pool2d` of x (B, C, H, W). Raises UnsupportedOperation for indices."""
    if return_indices:
        raise UnsupportedOperation(
            "adaptive_max_pool2d with return_indices=True", remedy="leave the indices out, or use MaxPool2d"
        )
    sizes, out = _sizes(x, output_size)
    if all(size % want == 0 for size, want in zip(sizes, out, strict=True)):
        kernel = (sizes[0] // out[0], sizes[1] // out[1])
        return _MAX_POOL(x, kernel, kernel)
    rows = [
        torch.stack([_largest(x, top, bottom, *span) for span in _spans(sizes[1], out[1])], -1)
        for top, bottom in _spans(sizes[0], out[0])
    ]
    return torch.stack(rows, -2)


def adaptive_avg_pool1d(x: Tensor, output_size: Any) -> Tensor:
    """`torch.nn.functional.adaptive_avg_pool1d` of x (B, C, L): a constant matrix of means."""
    (parts,) = (output_size,) if isinstance(output_size, int) else tuple(output_size)
    return x.mean(-1, keepdim=True) if parts == 1 else torch.matmul(x, means(int(x.shape[-1]), parts).to(x.dtype).T)


def adaptive_max_pool1d(x: Tensor, output_size: Any, return_indices: bool = False) -> Tensor:
    """`torch.nn.functional.adaptive_max_pool1d` of x (B, C, L). Raises UnsupportedOperation for indices."""
    (parts,) = (output_size,) if isinstance(output_size, int) else tuple(output_size)
    return adaptive_max_pool2d(x.unsqueeze(-2), (1, parts), return_indices).squeeze(-2)


def _sizes(x: Tensor, output_size: int | tuple[int | None, ...]) -> tuple[list[int], list[int]]:
    """Height and width of x and of the output."""
    requested = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    sizes = [int(x.shape[-2 + axis]) for axis in range(2)]
    return sizes, [size if want is None else want for size, want in zip(sizes, requested, strict=True)]


def means(size: int, parts: int) -> Tensor:
    """(parts, size): each row takes the mean of one window of an adaptive pooling."""
    with _disable_current_modes():  # a constant of the program, not a part of its graph
        matrix = torch.zeros(parts, size)
        for row, (start, end) in zip(matrix, _spans(size, parts), strict=True):
            row[start:end] = 1 / (end - start)
        return matrix


def _spans(size: int, parts: int) -> list[tuple[int, int]]:
    """Each window starts at floor(i size / parts) and ends before ceil((i + 1) size / parts)."""
    return [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]


def _largest(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """The first largest value of one window, (B, C)."""
    return x[..., top:bottom, left:right].flatten(-2).max(-1).values

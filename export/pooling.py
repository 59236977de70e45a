"""Adaptive max pooling as plain max pooling, or window by window where the sizes don't divide. May import torch.

>>> adaptive_max_pool2d(torch.arange(6.0).reshape(1, 1, 2, 3), (1, 2))
tensor([[[[4., 5.]]]])
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from core.errors import UnsupportedOperation

_MAX_POOL = F.max_pool2d


def adaptive_max_pool2d(x: Tensor, output_size: int | tuple[int | None, ...], return_indices: bool = False) -> Tensor:
    """`torch.nn.functional.adaptive_max_pool2d` of x (B, C, H, W). Raises UnsupportedOperation for indices."""
    if return_indices:
        raise UnsupportedOperation(
            "adaptive_max_pool2d with return_indices=True", remedy="leave the indices out, or use MaxPool2d"
        )
    wanted = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    sizes = [int(x.shape[-2 + axis]) for axis in range(2)]
    out = [size if want is None else want for size, want in zip(sizes, wanted, strict=True)]
    if all(size % want == 0 for size, want in zip(sizes, out, strict=True)):
        kernel = (sizes[0] // out[0], sizes[1] // out[1])
        return _MAX_POOL(x, kernel, kernel)
    rows = [
        torch.stack([_largest(x, top, bottom, *span) for span in _spans(sizes[1], out[1])], -1)
        for top, bottom in _spans(sizes[0], out[0])
    ]
    return torch.stack(rows, -2)


def _spans(size: int, parts: int) -> list[tuple[int, int]]:
    """Each window starts at floor(i size / parts) and ends before ceil((i + 1) size / parts)."""
    return [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]


def _largest(x: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
    """The first largest value of one window, (B, C)."""
    return x[..., top:bottom, left:right].flatten(-2).max(-1).values

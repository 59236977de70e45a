"""Strided copies: the one way of moving data that ExecuTorch's kernels do fast.

>>> import torch
>>> reorder(torch.arange(6).reshape(2, 3), (1, 0)).tolist()
[[0, 3], [1, 4], [2, 5]]
"""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor

Sizes = Sequence[int]
_SHARED = 4  # elements that share one number: with fewer, repeating it costs more than it saves
_LONG_ROW, _MOST_PARTS = 512, 32  # a row this long is added up in as many parts as divide it, up to so many


def row_major(shape: Sizes) -> list[Any]:
    """Strides of a contiguous tensor."""
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return strides[::-1]


def reorder(x: Tensor, order: Sizes) -> Tensor:
    """A permutation as a strided copy, several times as fast as `permute_copy`; a view where only sizes of 1 move."""
    strides = row_major(x.shape)
    moved = [order[i] for i in range(x.dim()) if x.shape[order[i]] != 1]
    if moved == sorted(moved):
        return x.reshape([x.shape[i] for i in order])
    sizes = [x.shape[i] for i in order]
    return strided(x, sizes, [strides[i] for i in order], 0, sizes)


def strided(x: Tensor, sizes: Sizes, strides: Sizes, start: int, shape: Sizes) -> Tensor:
    """`as_strided_copy` with as few and as long dimensions as say the same, in another shape of as many elements.

    The kernel goes dimension by dimension and copies the innermost as a whole.
    """
    joined: list[list[Any]] = []
    for size, stride in zip(sizes, strides, strict=True):
        if isinstance(size, int) and size == 1:
            continue
        known = joined and all(isinstance(number, int) for number in (size, stride, joined[-1][1]))
        if known and joined[-1][1] == stride * size:
            joined[-1] = [joined[-1][0] * size, stride]
        else:
            joined.append([size, stride])
    joined = joined or [[1, 1]]
    copied = torch.as_strided_copy(x.contiguous(), [size for size, _ in joined], [step for _, step in joined], start)
    return copied.reshape(list(shape))


def column(small: Tensor, whole: Tensor) -> Tensor | None:
    """`small`, which has one number for all of the last dimensions of `whole`, as (rows, 1), repeated where it must be.

    None where it isn't so, where few numbers share one, and where `whole` is such a matrix already.
    """
    if small.dim() > whole.dim():
        return None
    sizes = [1] * (whole.dim() - small.dim()) + list(small.shape)
    shared = 0
    while shared < whole.dim() and _is(sizes[-1 - shared], 1):
        shared += 1
    outer, inner = list(whole.shape[: whole.dim() - shared]), whole.shape[whole.dim() - shared :]
    leading = sizes[: whole.dim() - shared]
    fits = all(_is(size, 1) or str(size) == str(other) for size, other in zip(leading, outer, strict=True))
    if not outer or not fits or not all(isinstance(size, int) for size in inner) or prod(inner) < _SHARED:
        return None
    if any(str(size) != str(other) for size, other in zip(leading, outer, strict=True)):
        strides = [0 if _is(size, 1) else stride for size, stride in zip(leading, row_major(leading), strict=True)]
        small = strided(small, outer, strides, 0, outer)
    elif whole.dim() == 2:
        return None
    return small.reshape(prod(outer), 1)


def _is(size: Any, number: int) -> bool:
    """Never asks about an open size."""
    return isinstance(size, int) and size == number


def windows_apart(x: Tensor, kernel: Sizes) -> list[Tensor]:
    """Position by position inside a window, the elements of all windows that lie side by side: each (..., L, M)."""
    *planes, height, width = x.shape
    outer, rows, columns = prod(planes), height // kernel[0], width // kernel[1]
    sizes = [outer, rows, columns]
    strides = [height * width, kernel[0] * width, kernel[1]]
    return [
        torch.as_strided_copy(x.contiguous(), sizes, strides, row * width + column).reshape(*planes, rows, columns)
        for row, column in product(range(kernel[0]), range(kernel[1]))
    ]


def pad(x: Tensor, left: Sizes, right: Sizes) -> Tensor:
    """Zeros around the last dimensions."""
    amounts: list[int] = []
    for low, high in zip(reversed(left), reversed(right), strict=True):
        amounts += [low, high]
    return torch.constant_pad_nd(x, amounts, 0.0) if any(amounts) else x


def channel_sums(x: Tensor) -> Tensor:
    """Sum of x (B, C, ...) per channel, (C,)."""
    batch, channels, *places = x.shape
    return row_sums(x.reshape(batch * channels, prod(places))).reshape(batch, channels).sum(0)


def row_sums(x: Tensor) -> Tensor:
    """Sum of each row of x (rows, K), (rows, 1): a product with ones is several times as fast as `sum`.

    The product adds one number after another. Long rows are added up in parts first, which costs nothing and rounds a
    half to a quarter as much.
    """
    rows, length = x.shape
    parts = max(part for part in range(1, _MOST_PARTS + 1) if length % part == 0)
    if length < _LONG_ROW or parts == 1:
        return torch.mm(x, torch.ones((length, 1), dtype=x.dtype))
    first = torch.mm(x.reshape(rows * parts, length // parts), torch.ones((length // parts, 1), dtype=x.dtype))
    return torch.mm(first.reshape(rows, parts), torch.ones((parts, 1), dtype=x.dtype))

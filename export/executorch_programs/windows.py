"""The windows that a kernel slides over, in one strided copy, and their products.

A copy is fast where what lies innermost is long: a row of positions, or, in narrow maps, channels. The weights stay as
they are wherever the copy can be laid out for them.

    >>> import torch
    >>> x, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 2, 1, 9)
    >>> times(x, weight, [3, 3], [2, 2], [1, 1], [1, 1], [0, 0]).shape
    torch.Size([1, 2, 2, 2])
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from fedrela.export.executorch_programs.strides import reorder, row_major, strided
from fedrela.export.executorch_programs.whole_linear import linear

Sizes = Sequence[int]
_NARROW = 4  # positions in a row: with fewer, channels lie innermost
_SMALL_WEIGHT = 1 << 16  # elements that are cheaper to transpose than a product that runs along its long side


def times(
    x: Tensor, weight: Tensor, kernel: Sizes, count: Sizes, stride: Sizes, dilation: Sizes, offset: Sizes
) -> Tensor:
    """The sum over channels and taps, (B, groups * m, count...), of every window of x (B, groups * c, h...) with
    weight (groups, m, c, taps)."""
    groups, many, channels, taps = weight.shape
    batch, places = x.shape[0], prod(count)
    grid = _Grid(x, kernel, count, stride, dilation, groups, offset)
    if count[-1] < _NARROW and count[-1] <= channels:
        factor = reorder(weight, (0, 3, 2, 1)).reshape(groups, taps * channels, many)
        rows = _product(grid.rows(), factor)
        moved = reorder(rows.reshape(groups, batch, places, many), (1, 0, 3, 2))
    elif many * channels * taps <= many * places + grid.spared:
        repeated = torch.as_strided_copy(weight.contiguous(), [batch, weight.numel()], [0, 1], 0)
        factor = repeated.reshape(batch * groups, many, channels * taps)
        moved = torch.bmm(factor, grid.images())
    else:
        rows = _product(weight.reshape(groups, many, channels * taps), grid.upright())
        moved = reorder(rows.reshape(groups * many, batch, places), (1, 0, 2))
    return moved.reshape(batch, groups * many, *count)


def correlated(
    grad: Tensor, x: Tensor, kernel: Sizes, stride: Sizes, dilation: Sizes, groups: int, offset: Sizes
) -> Tensor:
    """The sum over batch and positions, (groups * m, c, taps), of every window of x (B, groups * c, h...) with grad
    (B, groups * m, count...)."""
    batch, out_channels, *count = grad.shape
    many, places, taps = out_channels // groups, prod(count), prod(kernel)
    grid = _Grid(x, kernel, count, stride, dilation, groups, offset)
    slid = reorder(grad.reshape(batch, out_channels, places), (1, 0, 2)).reshape(groups, many, batch * places)
    if count[-1] < _NARROW and count[-1] <= x.shape[1] // groups:
        summed = _product(slid, grid.rows())
        return reorder(summed.reshape(groups * many, taps, -1), (0, 2, 1))
    windows = grid.upright()
    if groups > 1:
        turned = _product(windows, reorder(slid, (0, 2, 1)))
        return reorder(turned, (0, 2, 1)).reshape(out_channels, -1, taps)
    rows, columns = slid.reshape(many, -1), windows.reshape(windows.shape[1], -1)
    if many < columns.shape[0] and many * columns.shape[0] <= _SMALL_WEIGHT:
        return reorder(linear(columns, rows), (1, 0)).reshape(out_channels, -1, taps)
    gradient: Tensor = linear(rows, columns).reshape(out_channels, -1, taps)
    return gradient


class _Grid:
    """Where the windows of x lie: every layout is one strided copy."""

    def __init__(
        self, x: Tensor, kernel: Sizes, count: Sizes, stride: Sizes, dilation: Sizes, groups: int, offset: Sizes
    ) -> None:
        inner = row_major(x.shape)
        rank = range(len(count))
        self._x, self._kernel, self._count = x, list(kernel), list(count)
        self._groups, self._channels, self._inner = groups, x.shape[1] // groups, inner
        self._step = [inner[2 + d] * stride[d] for d in rank]
        self._tap = [inner[2 + d] * dilation[d] for d in rank]
        self._start = sum(inner[2 + d] * offset[d] for d in rank)
        plain = all(stride[d] == kernel[d] == 1 and count[d] == x.shape[2 + d] for d in rank)
        self.spared = prod(x.shape[1:]) if plain else 0  # elements an image that need no copy

    def rows(self) -> Tensor:
        """(groups, B * positions, taps * c): channels innermost."""
        batch, inner = self._x.shape[0], self._inner
        sizes = [self._groups, batch, *self._count, *self._kernel, self._channels]
        strides = [inner[1] * self._channels, inner[0], *self._step, *self._tap, inner[1]]
        shape = [self._groups, batch * prod(self._count), prod(self._kernel) * self._channels]
        return strided(self._x, sizes, strides, self._start, shape)

    def upright(self) -> Tensor:
        """(groups, c * taps, B * positions): a row of positions innermost."""
        batch, inner = self._x.shape[0], self._inner
        sizes = [self._groups, self._channels, *self._kernel, batch, *self._count]
        strides = [inner[1] * self._channels, inner[1], *self._tap, inner[0], *self._step]
        shape = [self._groups, self._channels * prod(self._kernel), batch * prod(self._count)]
        return strided(self._x, sizes, strides, self._start, shape)

    def images(self) -> Tensor:
        """(B * groups, c * taps, positions): the same, image by image; x itself where each position is a window."""
        batch, inner = self._x.shape[0], self._inner
        shape = [batch * self._groups, self._channels * prod(self._kernel), prod(self._count)]
        if self.spared:
            return self._x.reshape(shape)
        sizes = [batch, self._groups, self._channels, *self._kernel, *self._count]
        strides = [inner[0], inner[1] * self._channels, inner[1], *self._tap, *self._step]
        return strided(self._x, sizes, strides, self._start, shape)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """(g, a, b) @ (g, b, c), as one plain product when g is 1."""
    if left.shape[0] == 1:
        return torch.mm(left.reshape(left.shape[1:]), right.reshape(right.shape[1:])).reshape(1, left.shape[1], -1)
    return torch.bmm(left, right)

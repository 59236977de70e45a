"""The windows that a kernel slides over, in one strided copy, and their products.

A copy is fast where what lies innermost is long: channels, or, where a group has few, positions. May import torch and
`export.executorch_strides`.

    >>> import torch
    >>> x, weight = torch.ones(1, 1, 4, 4), torch.ones(1, 2, 1, 9)
    >>> gather(x, [3, 3], [2, 2], [1, 1], [1, 1], 1, [0, 0]).times(weight).shape
    torch.Size([1, 2, 2, 2])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from export.executorch_strides import reorder, row_major

Sizes = Sequence[int]


@dataclass(frozen=True)
class Windows:
    """All windows of x (B, C, h...): `copied` is (groups, rows, taps * C/groups), or with `upright`
    (groups, C/groups * taps, rows), whose rows are innermost."""

    copied: Tensor
    upright: bool
    batch: int
    count: Sizes
    taps: int

    def times(self, weight: Tensor) -> Tensor:
        """With weight (groups, m, C/groups, taps): the sum over channels and taps, (B, groups * m, count...)."""
        groups, many, channels, taps = weight.shape
        if self.upright:
            rows = _product(weight.reshape(groups, many, channels * taps), self.copied)
            moved = reorder(rows.reshape(groups * many, self.batch, prod(self.count)), (1, 0, 2))
        else:
            factor = reorder(weight, (0, 3, 2, 1)).reshape(groups, taps * channels, many)
            rows = _product(self.copied, factor)
            moved = reorder(rows.reshape(groups, self.batch, prod(self.count), many), (1, 0, 3, 2))
        return moved.reshape(self.batch, groups * many, *self.count)

    def correlated(self, grad: Tensor) -> Tensor:
        """With grad (B, groups * m, count...): the sum over rows, (groups * m, C/groups, taps)."""
        groups, many, places = self.copied.shape[0], grad.shape[1] // self.copied.shape[0], prod(self.count)
        if self.upright:
            rows = reorder(grad.reshape(self.batch, groups, many, places), (1, 0, 3, 2))
            summed = _product(self.copied, rows.reshape(groups, self.batch * places, many))
            return reorder(summed, (0, 2, 1)).reshape(groups * many, -1, self.taps)
        rows = reorder(grad.reshape(self.batch, groups * many, places), (1, 0, 2))
        summed = _product(rows.reshape(groups, many, self.batch * places), self.copied)
        return reorder(summed.reshape(groups * many, self.taps, -1), (0, 2, 1))


def gather(
    x: Tensor, kernel: Sizes, count: Sizes, stride: Sizes, dilation: Sizes, groups: int, offset: Sizes
) -> Windows:
    """Every window of x (B, C, h...) in one strided copy; what lies innermost there is the longer of the two."""
    batch, channels, places, taps = x.shape[0], x.shape[1] // groups, prod(count), prod(kernel)
    inner = row_major(x.shape)
    step = [inner[2 + d] * stride[d] for d in range(len(count))]
    tap = [inner[2 + d] * dilation[d] for d in range(len(count))]
    start = sum(inner[2 + d] * offset[d] for d in range(len(count)))
    upright = channels < count[-1]
    if upright:
        sizes = [groups, channels, *kernel, batch, *count]
        strides = [inner[1] * channels, inner[1], *tap, inner[0], *step]
        shape = (groups, channels * taps, batch * places)
    else:
        sizes = [groups, batch, *count, *kernel, channels]
        strides = [inner[1] * channels, inner[0], *step, *tap, inner[1]]
        shape = (groups, batch * places, taps * channels)
    copied = torch.as_strided_copy(x.contiguous(), sizes, strides, start).reshape(shape)
    return Windows(copied, upright, batch, count, taps)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """(g, a, b) @ (g, b, c), as one plain product when g is 1."""
    if left.shape[0] == 1:
        return torch.mm(left.squeeze(0), right.squeeze(0)).unsqueeze(0)
    return torch.bmm(left, right)

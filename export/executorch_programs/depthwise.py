"""Depthwise convolution of narrow maps and its gradients: whole rows times banded matrices.

A kernel row slid along a row of the map is a product with a matrix that repeats it on a diagonal. It multiplies more
than it must, but copies a kernel's height of rows in place of a whole kernel for every position, and copying is what
costs.

Shapes: x (B, C, H, W), weight (C, 1, k, l), y and its gradient (B, C, M, N).

    >>> x, weight = torch.randn(2, 3, 8, 8), torch.randn(3, 1, 3, 3)
    >>> ours = forward(x, weight, [4, 4], [2, 2], [1, 1], [1, 1])
    >>> torch.allclose(ours, torch.conv2d(x, weight, None, 2, 1, 1, 3), atol=1e-5)
    True
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fedrela.export.executorch_programs.strides import pad, reorder, strided
from fedrela.export.executorch_programs.whole_linear import linear

Sizes = Sequence[int]
_LONGEST = 128  # elements of the rows that one product reads: beyond, multiplying costs more than it saves


def suits(weight: Tensor, groups: int, *widths: int) -> bool:
    """Whether a convolution of `weight` (O, C / groups, k...) over maps of such widths is better written so."""
    depthwise = weight.dim() == 4 and weight.shape[0] == groups > 1 and weight.shape[1] == 1
    return depthwise and weight.shape[2] > 1 and weight.shape[2] * max(widths) <= _LONGEST


def forward(x: Tensor, weight: Tensor, count: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Tensor:
    """(B, C, count...)."""
    channels, _, height, width = weight.shape
    rows = _rows(pad(x, [padding[0], 0], [padding[0], 0]), height, count[0], stride[0], dilation[0], 0)
    band = _band(x, width, x.shape[3], count[1], stride[1], padding[1], dilation[1])
    band = reorder(band, (0, 2, 1)).reshape(width, -1)
    matrix = torch.mm(weight.reshape(channels * height, width), band).reshape(channels, -1, count[1])
    return _to_images(torch.bmm(rows, matrix), x.shape[0], count)


def input_gradient(grad: Tensor, weight: Tensor, size: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Tensor:
    """(B, C, size...): the rows of `grad` as far apart as the stride, zeros between, under the kernel upside down."""
    channels, _, height, width = weight.shape
    batch, _, rows_given, columns = grad.shape
    spread = grad
    if stride[0] > 1:
        apart = pad(grad.reshape(batch, channels * rows_given, 1, columns), [0, 0], [stride[0] - 1, 0])
        spread = apart.reshape(batch, channels, rows_given * stride[0], columns)
    first = padding[0] - (height - 1) * dilation[0]
    below = max(0, size[0] + padding[0] - rows_given * stride[0])
    rows = _rows(pad(spread, [max(0, -first), 0], [below, 0]), height, size[0], 1, dilation[0], max(0, first))
    band = _band(grad, width, size[1], columns, stride[1], padding[1], dilation[1]).reshape(width, -1)
    turned = torch.cat([weight[:, :, i : i + 1] for i in reversed(range(height))], 2)
    matrix = torch.mm(turned.reshape(channels * height, width), band).reshape(channels, -1, size[1])
    return _to_images(torch.bmm(rows, matrix), batch, size)


def weight_gradient(grad: Tensor, x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes) -> Tensor:
    """(C, 1, k, l): every pair of a row of `grad` and one of x, then the sums along the diagonals."""
    batch, channels, height, width = grad.shape
    below = (height - 1) * stride[0] + dilation[0] * (kernel[0] - 1) + 1 - padding[0] - x.shape[2]
    padded = pad(x, [padding[0], 0], [max(padding[0], below), 0])
    rows = _rows(padded, kernel[0], height, stride[0], dilation[0], 0)
    turned = reorder(grad, (1, 3, 0, 2)).reshape(channels, width, batch * height)
    pairs = torch.bmm(turned, rows).reshape(channels, width, kernel[0], x.shape[3])
    pairs = reorder(pairs, (0, 2, 1, 3)).reshape(channels * kernel[0], width * x.shape[3])
    band = _band(x, kernel[1], x.shape[3], width, stride[1], padding[1], dilation[1]).reshape(kernel[1], -1)
    summed: Tensor = linear(pairs, band)
    return summed.reshape(channels, 1, *kernel)


def _rows(x: Tensor, height: int, count: int, stride: int, dilation: int, first: int) -> Tensor:
    """(C, B * count, height * W): the rows under a kernel, side by side, for each of `count` places."""
    batch, channels, rows, width = x.shape
    sizes = [channels, batch, count, height, width]
    strides = [rows * width, channels * rows * width, stride * width, dilation * width, 1]
    return strided(x, sizes, strides, first * width, [channels, batch * count, height * width])


def _band(like: Tensor, taps: int, width: int, count: int, stride: int, padding: int, dilation: int) -> Tensor:
    """(taps, count, width): 1 where a tap of the kernel at a place of `count` meets a column of `width`, else 0."""
    place = (torch.arange(count) * stride - padding).reshape(1, count, 1)
    met = place + (torch.arange(taps) * dilation).reshape(taps, 1, 1)
    return (torch.arange(width).reshape(1, 1, width) == met).to(like.dtype)


def _to_images(rows: Tensor, batch: int, count: Sizes) -> Tensor:
    """(C, B * count[0], count[1]) to (B, C, count...)."""
    channels = rows.shape[0]
    moved = reorder(rows.reshape(channels, batch, count[0] * count[1]), (1, 0, 2))
    return moved.reshape(batch, channels, *count)

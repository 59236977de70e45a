"""A convolution's weight gradient as plain ONNX operators, the form chosen by shape.

It is a convolution too: x slides under dy. Written the obvious way (batch and channels swapped) its im2col copies runs
of one kernel row. Written channels-last and flat, with x as (1, N, H, W*C) and dy as the kernel (O, N, h, w) whose
columns step C floats, it copies runs of kw*C floats and ends in one matrix product. A depthwise convolution has C = 1
per group, so there matrix products of whole rows, of which a few diagonals are summed, win in spite of computing too
much.

Notation: `slid` (N, A, S...) lies still, `slider` (N, B, L...) moves over it: for a convolution x and dy, for a
transposed one dy and x. The gradient is (B, A / groups, K...): the sum over batch and positions l of
slider[l] * slid[stride * l + dilation * k - padding], for every tap k.
"""

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.convolution_geometry import Geometry
from fedrela.export.onnx_programs.forms.values import (
    Value,
    channels_of,
    floats,
    integers,
    reduce_sum,
    reshape,
    spatial_sizes,
)

ROW_LIMIT = 48  # the longest row for which products of whole rows win


def weight_gradient(slid: Value, slider: Value, g: Geometry) -> Value:
    """The gradient, for one, two or three spatial axes and any stride, padding, dilation and groups."""
    rank = len(g.kernel)
    if g.pointwise and g.groups == 1:
        return _pointwise(slid, slider, g)
    if rank == 1:
        wide = Geometry((1, *g.kernel), (1, *g.stride), (0, *g.padding), (1, *g.dilation), g.groups)
        return op.Squeeze(weight_gradient(_with_row(slid), _with_row(slider), wide), integers([2]))
    if rank > 2:
        return _swapped(slid, slider, g)
    if g.groups == channels_of(slid) == channels_of(slider) and spatial_sizes(slider)[1] <= ROW_LIMIT:
        return _by_rows(slid, slider, g)
    return _flat(slid, slider, g)


def _reached(x: Value, lengths: Sequence[int], g: Geometry) -> Value:
    """The positions of x that a pointwise convolution with outputs of `lengths` reaches."""
    ends = [(n - 1) * step + 1 for n, step in zip(lengths, g.stride, strict=True)]
    if any(size >= end + step for size, end, step in zip(spatial_sizes(x), ends, g.stride, strict=True)):
        x = _first(x, ends)
    return x if g.unit_stride else op.MaxPool(x, kernel_shape=g.kernel, strides=g.stride)[0]


def _pointwise(x: Value, grad: Value, g: Geometry) -> Value:
    """sum_n dy_n x_n^T. One product over all positions where maps are small next to the weight, else one per image."""
    inputs, outputs = channels_of(x), channels_of(grad)
    lengths = spatial_sizes(grad)
    positions = int(np.prod(lengths))
    left, right = reshape(grad, 0, outputs, positions), reshape(_reached(x, lengths, g), 0, inputs, positions)
    if inputs * outputs > positions * (inputs + outputs):
        left = reshape(op.Transpose(left, perm=[1, 0, 2]), outputs, -1)
        product = op.MatMul(left, reshape(op.Transpose(right, perm=[0, 2, 1]), -1, inputs))
    else:
        product = reduce_sum(op.MatMul(left, op.Transpose(right, perm=[0, 2, 1])), 0)
    return reshape(product, outputs, inputs, *g.kernel)


def _flat(slid: Value, slider: Value, g: Geometry) -> Value:
    """The channels-last flat form (see the module's text)."""
    sizes, lengths = spatial_sizes(slid), spatial_sizes(slider)
    channels, outputs = channels_of(slid), channels_of(slider)
    share = channels // g.groups
    pad_ends, crops, surplus = _ends(sizes, lengths, g)
    flat = _channels_last(slid, channels, sizes, g.groups)
    if any(crops):
        ends = [sizes[0] - crops[0], (sizes[1] - crops[1]) * share]
        flat = _first(flat, ends)
    columns = (g.kernel[1] - 1) * g.dilation[1] + 1
    taps = op.Conv(
        flat,
        _channels_first(slider),
        kernel_shape=lengths,
        pads=[g.padding[0], g.padding[1] * share, pad_ends[0], pad_ends[1] * share],
        dilations=[g.stride[0], g.stride[1] * share],
        strides=[g.dilation[0], 1],
        group=g.groups,
    )
    if surplus:
        taps = _first(taps, [g.kernel[0], columns * share])
    taps = reshape(taps, outputs, g.kernel[0], columns, share)
    if columns != g.kernel[1]:
        taps = op.Slice(taps, integers([0]), integers([columns]), integers([2]), integers([g.dilation[1]]))
    return op.Transpose(taps, perm=[0, 3, 1, 2])


def _by_rows(slid: Value, slider: Value, g: Geometry) -> Value:
    """Depthwise: per channel and kernel row, (L x rows) (rows x S) products; each tap is a sum along a diagonal."""
    channels, width = channels_of(slid), spatial_sizes(slid)[1]
    rows, row = spatial_sizes(slider)
    pad_ends, _, _ = _ends(spatial_sizes(slid), (rows, row), g)
    still = op.Transpose(slid, perm=[1, 2, 0, 3])  # (C, H, N, W): a shift by a row is one contiguous run
    if g.padding[0] or pad_ends[0]:
        still = op.Pad(still, integers([0, g.padding[0], 0, 0, 0, pad_ends[0], 0, 0]), floats(0.0))
    moving = reshape(op.Transpose(slider, perm=[1, 2, 0, 3]), channels, -1, row)
    moving = op.Transpose(moving, perm=[0, 2, 1])
    diagonals = floats(_diagonals(width, row, g))
    taps = []
    for k in range(g.kernel[0]):
        first = k * g.dilation[0]
        last = first + (rows - 1) * g.stride[0] + 1
        shifted = op.Slice(still, integers([first]), integers([last]), integers([1]), integers([g.stride[0]]))
        products = op.MatMul(moving, reshape(shifted, channels, -1, width))
        taps.append(op.MatMul(reshape(products, channels, row * width), diagonals))
    joined = op.Concat(*taps, axis=1) if len(taps) > 1 else taps[0]
    return reshape(joined, channels, 1, *g.kernel)


def _diagonals(width: int, row: int, g: Geometry) -> NDArray[np.float32]:
    """1 where output column l and input column c meet under column tap k; shape (L * W, kw)."""
    meets = np.zeros((row, width, g.kernel[1]), np.float32)
    for k in range(g.kernel[1]):
        for position in range(row):
            column = position * g.stride[1] + k * g.dilation[1] - g.padding[1]
            if 0 <= column < width:
                meets[position, column, k] = 1
    return meets.reshape(row * width, g.kernel[1])


def _swapped(slid: Value, slider: Value, g: Geometry) -> Value:
    """Any number of axes, batch and channels swapped: slow and plain."""
    sizes, lengths = spatial_sizes(slid), spatial_sizes(slider)
    channels, outputs, rank = channels_of(slid), channels_of(slider), len(g.kernel)
    pad_ends, crops, surplus = _ends(sizes, lengths, g)
    if any(crops):
        sizes = tuple(s - c for s, c in zip(sizes, crops, strict=True))
        slid = _first(slid, sizes)
    axes = range(3, 3 + rank)
    split = reshape(slid, 0, g.groups, channels // g.groups, *sizes)
    grouped = reshape(op.Transpose(split, perm=[2, 1, 0, *axes]), channels // g.groups, -1, *sizes)
    taps = op.Conv(
        grouped,
        _channels_first(slider, rank),
        kernel_shape=lengths,
        pads=[*g.padding, *pad_ends],
        dilations=g.stride,
        strides=g.dilation,
        group=g.groups,
    )
    taps = reshape(_first(taps, g.kernel) if surplus else taps, channels // g.groups, outputs, *g.kernel)
    return op.Transpose(taps, perm=[1, 0, *range(2, 2 + rank)])


def _ends(sizes: Sequence[int], lengths: Sequence[int], g: Geometry) -> tuple[list[int], list[int], bool]:
    """Per axis: padding after the end, and what to leave off the end, so that exactly the taps come out; and whether
    more of them come out all the same, because a map can't be cut to nothing.
    """
    axes = zip(lengths, g.kernel, g.stride, g.padding, g.dilation, strict=True)
    needed = [(n - 1) * step + d * (k - 1) + 1 - pad for n, k, step, pad, d in axes]
    pad_ends = [max(0, n - s) for n, s in zip(needed, sizes, strict=True)]
    crops = [max(0, s - max(n, 1)) for n, s in zip(needed, sizes, strict=True)]
    return pad_ends, crops, min(needed) < 1


def _channels_last(x: Value, channels: int, sizes: Sequence[int], groups: int) -> Value:
    """(N, C, H, W) as (1, groups * N, H, W * C / groups)."""
    height, width = sizes
    share = channels // groups
    if groups == 1:
        return reshape(op.Transpose(x, perm=[0, 2, 3, 1]), 1, -1, height, width * channels)
    split = reshape(x, 0, groups, share, height, width)
    return reshape(op.Transpose(split, perm=[1, 0, 3, 4, 2]), 1, -1, height, width * share)


def _channels_first(x: Value, rank: int = 2) -> Value:
    return op.Transpose(x, perm=[1, 0, *range(2, 2 + rank)])


def _with_row(x: Value) -> Value:
    """(N, C, L) as (N, C, 1, L)."""
    maps = op.Unsqueeze(x, integers([2]))
    maps.shape = ir.Shape([None, channels_of(x), 1, *spatial_sizes(x)])
    maps.type = x.type
    return maps


def _first(x: Value, sizes: Sequence[int]) -> Value:
    """The first `sizes` positions along the spatial axes."""
    return op.Slice(x, integers([0] * len(sizes)), integers(sizes), integers(range(2, 2 + len(sizes))))

"""Convolution and its gradients as plain ONNX operators, the form chosen by shape.

The weight gradient is a convolution too: x slides under dy. Written the obvious way (batch and channels swapped) its
im2col copies runs of one pixel row; written channels-last and flat, with x as (1, N, H, W*C) and dy as the kernel
(O, N, h, w) whose columns step C floats, it copies runs of kw*C floats and ends in one matrix product. May import
numpy, onnxscript and `export.onnx_forms.values`.

Notation: x (N, C, S...), weight (O, C/groups, K...), dy (N, O, L...); N is open.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from onnxscript import opset18 as op

from export.onnx_forms.values import Value, channels_of, integers, reduce_sum, reshape, spatial_sizes, spread, unused


@dataclass(frozen=True)
class Geometry:
    """How a kernel of K taps slides: one entry per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def pointwise(self) -> bool:
        """Every output sees one input position, and no position is padding."""
        return set(self.kernel) == {1} and not any(self.padding)

    @property
    def pads(self) -> list[int]:
        """ONNX order: all begins, then all ends."""
        return [*self.padding, *self.padding]


def geometry(
    weight: Value, stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int], groups: int
) -> Geometry:
    """The geometry of a convolution with `weight`."""
    kernel = spatial_sizes(weight)
    rank = len(kernel)
    return Geometry(kernel, spread(stride, rank), spread(padding, rank), spread(dilation, rank), int(groups))


def convolution(
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    """aten.convolution."""
    g = geometry(weight, stride, padding, dilation, groups)
    if transposed:
        return _conv_transpose(x, weight, bias, g, spread(output_padding, len(g.kernel)))
    return _conv(x, weight, bias, g)


def convolution_backward(
    grad: Value,
    x: Value,
    weight: Value,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Value, Value, Value]:
    """aten.convolution_backward: gradients with respect to x, weight and bias, where `output_mask` asks for them."""
    g = geometry(weight, stride, padding, dilation, groups)
    grad_x = grad_weight = grad_bias = unused()
    if output_mask[0]:
        grad_x = _conv(grad, weight, None, g) if transposed else _input_gradient(grad, x, weight, g)
    if output_mask[1]:
        grad_weight = _weight_gradient(grad, x, g) if transposed else _weight_gradient(x, grad, g)
    if output_mask[2]:
        grad_bias = reduce_sum(reduce_sum(grad, *range(2, 2 + len(g.kernel))), 0)
    return grad_x, grad_weight, grad_bias


def _conv(x: Value, weight: Value, bias: Value | None, g: Geometry) -> Value:
    return op.Conv(
        x,
        weight,
        bias,
        kernel_shape=g.kernel,
        strides=g.stride,
        pads=g.pads,
        dilations=g.dilation,
        group=g.groups,
    )


def _conv_transpose(x: Value, weight: Value, bias: Value | None, g: Geometry, surplus: Sequence[int]) -> Value:
    return op.ConvTranspose(
        x,
        weight,
        bias,
        kernel_shape=g.kernel,
        strides=g.stride,
        pads=g.pads,
        dilations=g.dilation,
        output_padding=surplus,
        group=g.groups,
    )


def _input_gradient(grad: Value, x: Value, weight: Value, g: Geometry) -> Value:
    """The transposed convolution; positions of x that the stride never reached get zero."""
    sizes, reached = spatial_sizes(x), spatial_sizes(grad)
    surplus = [
        s - ((length - 1) * stride - 2 * pad + dilation * (k - 1) + 1)
        for s, length, k, stride, pad, dilation in zip(
            sizes, reached, g.kernel, g.stride, g.padding, g.dilation, strict=True
        )
    ]
    return _conv_transpose(grad, weight, None, g, surplus)


def _weight_gradient(slid: Value, slider: Value, g: Geometry) -> Value:
    """sum over batch and positions l of slider[l] * slid[stride * l + dilation * k - padding], for every tap k.

    slid (N, A, S...), slider (N, B, L...): for a convolution x and dy, for a transposed one dy and x. The result is
    (B, A / groups, K...).
    """
    if g.pointwise and set(g.stride) == {1} and g.groups == 1:
        return _pointwise_weight_gradient(slid, slider, g)
    if len(g.kernel) == 1:
        flat = Geometry((1, *g.kernel), (1, *g.stride), (0, *g.padding), (1, *g.dilation), g.groups)
        result = _flat_weight_gradient(_with_row(slid), _with_row(slider), _row_sizes(slid), _row_sizes(slider), g=flat)
        return op.Squeeze(result, integers([2]))
    return _flat_weight_gradient(slid, slider, _all_sizes(slid), _all_sizes(slider), g=g)


def _pointwise_weight_gradient(x: Value, grad: Value, g: Geometry) -> Value:
    """sum_n dy_n x_n^T. One product over all positions where maps are small next to the weight, else one per image."""
    inputs, outputs = channels_of(x), channels_of(grad)
    positions = 1
    for size in spatial_sizes(x):
        positions *= size
    if inputs * outputs > positions * (inputs + outputs):
        left = reshape(op.Transpose(reshape(grad, 0, outputs, positions), perm=[1, 0, 2]), outputs, -1)
        right = reshape(op.Transpose(reshape(x, 0, inputs, positions), perm=[0, 2, 1]), -1, inputs)
        product = op.MatMul(left, right)
    else:
        left, right = reshape(grad, 0, outputs, positions), reshape(x, 0, inputs, positions)
        product = reduce_sum(op.MatMul(left, op.Transpose(right, perm=[0, 2, 1])), 0)
    return reshape(product, outputs, inputs, *([1] * len(g.kernel)))


def _flat_weight_gradient(
    slid: Value, slider: Value, slid_sizes: tuple[int, ...], slider_sizes: tuple[int, ...], *, g: Geometry
) -> Value:
    """The channels-last flat form (see the module's text) for two spatial axes, any stride, dilation and groups."""
    channels, *sizes = slid_sizes
    outputs, *lengths = slider_sizes
    share = channels // g.groups
    pad_ends, crops = _ends(sizes, lengths, g)
    flat = _channels_last(slid, channels, sizes, g.groups)
    if any(crops):
        ends = [sizes[0] - crops[0], (sizes[1] - crops[1]) * share]
        flat = op.Slice(flat, integers([0, 0]), integers(ends), integers([2, 3]))
    kernel = op.Transpose(slider, perm=[1, 0, 2, 3])
    columns = (g.kernel[1] - 1) * g.dilation[1] + 1
    taps = op.Conv(
        flat,
        kernel,
        kernel_shape=lengths,
        pads=[g.padding[0], g.padding[1] * share, pad_ends[0], pad_ends[1] * share],
        dilations=[g.stride[0], g.stride[1] * share],
        strides=[g.dilation[0], 1],
        group=g.groups,
    )
    taps = reshape(taps, outputs, g.kernel[0], columns, share)
    if columns != g.kernel[1]:
        taps = op.Slice(taps, integers([0]), integers([columns]), integers([2]), integers([g.dilation[1]]))
    return op.Transpose(taps, perm=[0, 3, 1, 2])


def _ends(sizes: Sequence[int], lengths: Sequence[int], g: Geometry) -> tuple[list[int], list[int]]:
    """Per axis: padding after the end, and what to leave off the end, so that exactly the taps come out."""
    needed = [
        (length - 1) * stride + dilation * (k - 1) + 1 - pad
        for length, k, stride, pad, dilation in zip(lengths, g.kernel, g.stride, g.padding, g.dilation, strict=True)
    ]
    pad_ends = [max(0, n - s) for n, s in zip(needed, sizes, strict=True)]
    crops = [max(0, s - n) for n, s in zip(needed, sizes, strict=True)]
    return pad_ends, crops


def _channels_last(x: Value, channels: int, sizes: Sequence[int], groups: int) -> Value:
    """(N, C, H, W) as (1, groups * N, H, W * C / groups)."""
    height, width = sizes
    share = channels // groups
    if groups == 1:
        return reshape(op.Transpose(x, perm=[0, 2, 3, 1]), 1, -1, height, width * channels)
    if share == 1:
        return reshape(op.Transpose(x, perm=[1, 0, 2, 3]), 1, -1, height, width)
    split = reshape(x, 0, groups, share, height, width)
    return reshape(op.Transpose(split, perm=[1, 0, 3, 4, 2]), 1, -1, height, width * share)


def _with_row(x: Value) -> Value:
    return op.Unsqueeze(x, integers([2]))


def _row_sizes(x: Value) -> tuple[int, ...]:
    channels, length = _all_sizes(x)
    return channels, 1, length


def _all_sizes(x: Value) -> tuple[int, ...]:
    return channels_of(x), *spatial_sizes(x)

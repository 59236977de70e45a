"""Convolution and its input gradient as plain ONNX operators, the form chosen by shape.

Measured on x86-64 with weights as graph inputs (so that nothing can be packed ahead): Conv and ConvTranspose cost about
the same; which of the two copies less depends on the layer, and each can stand for the other with a flipped kernel.

Notation: x (N, C, S...), weight (O, C/groups, K...), dy (N, O, L...); N is open.
"""

from collections.abc import Sequence

import numpy as np
from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.convolution_geometry import Geometry, geometry
from fedrela.export.onnx_programs.forms.values import (
    Value,
    channels_of,
    floats,
    integers,
    reduce_sum,
    reshape,
    spatial_sizes,
    spread,
    unused,
)
from fedrela.export.onnx_programs.forms.weight_gradient import weight_gradient

WIDE = 64  # from so many channels on, the input gradient is faster as a convolution
NARROW = range(16, 33)  # channels for which ...
LARGE = 256  # ... and positions from which a stride-1 convolution is faster as a transposed one


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
    """aten.convolution where the weight is an input."""
    g = geometry(weight, stride, padding, dilation, groups)
    narrow = channels_of(x) in NARROW and channels_of(weight) in NARROW and weight.shape[0] <= channels_of(x)
    large = np.prod(spatial_sizes(x)) >= LARGE
    if narrow and large and g.groups == 1 and g.reversible and not g.pointwise and not transposed:
        return _conv_transpose(x, _mirrored(weight, g), bias, g.mirrored, [0] * len(g.kernel))
    return convolution_by_constants(x, weight, bias, stride, padding, dilation, transposed, output_padding, groups)


def convolution_by_constants(
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
    """aten.convolution where the weight is a constant of the session: the runtime has direct kernels for that."""
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
        grad_x = _transposed_input_gradient(grad, x, weight, g) if transposed else _input_gradient(grad, x, weight, g)
    if output_mask[1]:
        grad_weight = weight_gradient(grad, x, g) if transposed else weight_gradient(x, grad, g)
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
    """`surplus` more positions at each end. The operator takes less than a stride of them; else the end's padding
    is cut less instead, which gives the same positions, and beyond all contributions there is only the bias.
    """
    ends, beyond = list(g.padding), [0] * len(g.kernel)
    inside = list(surplus)
    if any(extra >= step for extra, step in zip(surplus, g.stride, strict=True)):
        ends = [max(0, pad - extra) for pad, extra in zip(g.padding, surplus, strict=True)]
        beyond = [max(0, extra - pad) for pad, extra in zip(g.padding, surplus, strict=True)]
        inside = [0] * len(beyond)
    result = op.ConvTranspose(
        x,
        weight,
        None if any(beyond) else bias,
        kernel_shape=g.kernel,
        strides=g.stride,
        pads=[*g.padding, *ends],
        dilations=g.dilation,
        output_padding=inside,
        group=g.groups,
    )
    if not any(beyond):
        return result
    wider = op.Pad(result, integers([0] * (len(beyond) + 2 + 2) + beyond), floats(0.0))
    return wider if bias is None else op.Add(wider, reshape(bias, -1, *[1] * len(beyond)))


def _input_gradient(grad: Value, x: Value, weight: Value, g: Geometry) -> Value:
    """The transposed convolution; positions of x that the stride never reached get zero."""
    wide = g.groups == 1 and min(channels_of(x), channels_of(grad)) >= WIDE
    depthwise = 1 < g.groups == channels_of(x)  # of the two, only a convolution spreads them over threads
    if g.reversible and (g.pointwise or wide or depthwise):
        return _conv(grad, _mirrored(weight, g), None, g.mirrored)
    sizes, lengths = spatial_sizes(x), spatial_sizes(grad)
    axes = zip(sizes, lengths, g.kernel, g.stride, g.padding, g.dilation, strict=True)
    surplus = [s - ((n - 1) * step - 2 * pad + d * (k - 1) + 1) for s, n, k, step, pad, d in axes]
    return _conv_transpose(grad, weight, None, g, surplus)


def _transposed_input_gradient(grad: Value, x: Value, weight: Value, g: Geometry) -> Value:
    """A convolution; positions of dy that lie beyond all of x's, if any, come last and are left out."""
    result = _conv(grad, weight, None, g)
    axes = zip(spatial_sizes(grad), g.kernel, g.stride, g.padding, g.dilation, strict=True)
    counts = tuple((size + 2 * p - d * (k - 1) - 1) // step + 1 for size, k, step, p, d in axes)
    sizes = spatial_sizes(x)
    if counts == sizes:
        return result
    return op.Slice(result, integers([0] * len(sizes)), integers(sizes), integers(range(2, 2 + len(sizes))))


def _mirrored(weight: Value, g: Geometry) -> Value:
    """(O, C/groups, K...) as (C, O/groups, K reversed): the kernel of the opposite operator. A product with a reversed
    unit matrix turns the taps round several times faster than Slice or Gather do.
    """
    taps = int(np.prod(g.kernel))
    outputs, inputs = int(weight.shape[0]) // g.groups, channels_of(weight)
    turned = weight
    if taps > 1:
        turned = op.MatMul(reshape(weight, g.groups * outputs * inputs, taps), floats(np.eye(taps)[::-1]))
    if min(outputs, inputs) > 1:
        turned = op.Transpose(reshape(turned, g.groups, outputs, inputs, taps), perm=[0, 2, 1, 3])
    return reshape(turned, g.groups * inputs, outputs, *g.kernel)

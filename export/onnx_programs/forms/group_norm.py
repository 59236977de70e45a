"""GroupNorm and its gradient.

The normalized input and 1/std come from one LayerNormalization over each group; the per-channel affine map is one
BatchNormalization with mean 0 and variance 1, which is a multiply-add in a single pass. The gradient takes the
normalized input over from the forward pass.

Notation: G groups of C/G channels, M elements per group, xh = (x - mean) * rstd:
    dx = rstd * (gamma dy - mean_M(gamma dy) - xh mean_M(gamma dy xh));  dgamma = sum(dy xh);  dbeta = sum(dy)
"""

from collections.abc import Sequence

import numpy as np
from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.values import (
    Value,
    filled,
    floats,
    integers,
    producer,
    reduce_sum,
    reshape,
    scale_and_shift,
    spatial_sizes,
    unused,
)


def native_group_norm(
    x: Value, weight: Value | None, bias: Value | None, n: Value, channels: int, positions: int, group: int, eps: float
) -> tuple[Value, Value, Value]:
    """aten.native_group_norm: y, mean (N, G), rstd (N, G)."""
    normalized, mean, rstd = _normalize(x, channels, positions, group, eps)
    y = reshape(normalized, -1, channels, *spatial_sizes(x))
    if weight is not None or bias is not None:
        gamma = weight if weight is not None else floats(np.ones(channels))
        beta = bias if bias is not None else floats(np.zeros(channels))
        y = scale_and_shift(y, gamma, beta, channels)
    return y, reshape(mean, -1, group), reshape(rstd, -1, group)


def native_group_norm_backward(
    grad: Value,
    x: Value,
    mean: Value,
    rstd: Value,
    weight: Value | None,
    n: Value,
    channels: int,
    positions: int,
    group: int,
    output_mask: Sequence[bool],
) -> tuple[Value, Value, Value]:
    """aten.native_group_norm_backward: gradients with respect to x, weight and bias."""
    normalized = reshape(_forward_normalized(x, mean, rstd, channels, positions, group), -1, channels, positions)
    dy = reshape(grad, -1, channels, positions)
    sums = reduce_sum(dy, 2)
    products = reduce_sum(op.Mul(dy, normalized), 2)
    grad_x = grad_weight = grad_bias = unused()
    if output_mask[0]:
        flat = _input_gradient(dy, normalized, sums, products, rstd, weight, channels, positions, group)
        grad_x = reshape(flat, -1, channels, *spatial_sizes(x))
    if output_mask[1]:
        grad_weight = reduce_sum(products, 0)
    if output_mask[2]:
        grad_bias = reduce_sum(sums, 0)
    return grad_x, grad_weight, grad_bias


def _normalize(x: Value, channels: int, positions: int, group: int, eps: float) -> tuple[Value, Value, Value]:
    """xh (N, G, M), mean (N, G, 1), rstd (N, G, 1)."""
    elements = channels // group * positions
    ones, zeros = filled(1.0, integers([elements])), filled(0.0, integers([elements]))
    # Left out, the zeros cost nothing, but ONNX Runtime 1.17 aborts when it looks for them.
    return op.LayerNormalization(reshape(x, -1, group, elements), ones, zeros, axis=2, epsilon=eps)


def _forward_normalized(x: Value, mean: Value, rstd: Value, channels: int, positions: int, group: int) -> Value:
    """The forward pass's own xh where `rstd` leads to it; otherwise from x, mean and rstd."""
    source = producer(rstd, "Reshape")
    source = source and producer(source.inputs[0], "LayerNormalization")
    if source is not None:
        return source.outputs[0]
    elements = channels // group * positions
    centered = op.Sub(reshape(x, -1, group, elements), reshape(mean, -1, group, 1))
    return op.Mul(centered, reshape(rstd, -1, group, 1))


def _input_gradient(
    dy: Value,
    normalized: Value,
    sums: Value,
    products: Value,
    rstd: Value,
    weight: Value | None,
    channels: int,
    positions: int,
    group: int,
) -> Value:
    """dx (N, C, HW): dy times one number per map, plus xh times another, plus a third."""
    share = channels // group
    count = float(share * positions)
    if weight is not None:
        sums, products = op.Mul(sums, weight), op.Mul(products, weight)
    r = reshape(rstd, -1, group, 1)
    shift = op.Mul(reduce_sum(reshape(sums, -1, group, share), 2, keep=True), op.Mul(r, floats(-1 / count)))
    slope = op.Mul(reduce_sum(reshape(products, -1, group, share), 2, keep=True), op.Mul(r, floats(-1 / count)))
    grown = op.Mul(r, reshape(weight, 1, group, share)) if weight is not None else _per_channel(r, share)
    elements = share * positions
    pulled = op.Add(op.Mul(reshape(normalized, -1, group, elements), slope), shift)
    direct = op.Mul(dy, reshape(grown, -1, channels, 1))
    return op.Add(direct, reshape(pulled, -1, channels, positions))


def _per_channel(r: Value, share: int) -> Value:
    return op.Mul(r, floats(np.ones((1, 1, share))))

"""Activations and their gradients without Where, which ONNX Runtime runs three to six times slower than a product.

A 0/1 mask times a gradient is the same for every finite gradient; where PyTorch writes 0 in place of an infinite or NaN
gradient these forms write NaN, so a diverged step stays visible.
"""

import numpy as np
import onnx_ir as ir
from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.masks import positive
from fedrela.export.onnx_programs.forms.max_pool import through_relu
from fedrela.export.onnx_programs.forms.values import FLOAT, Value, floats


def threshold_backward(grad: Value, x: Value, threshold: float) -> Value:
    """aten.threshold_backward: grad where x > threshold, else 0."""
    if threshold == 0:
        below_pooling = through_relu(grad, x)
        return op.Mul(grad, positive(x)) if below_pooling is None else below_pooling
    return op.Mul(grad, op.Cast(op.Not(op.LessOrEqual(x, floats(threshold))), to=FLOAT))


def hardtanh(x: Value, min_val: float = -1.0, max_val: float = 1.0) -> Value:
    """aten.hardtanh."""
    return op.Clip(x, floats(min_val), floats(max_val))


def hardtanh_backward(grad: Value, x: Value, min_val: float, max_val: float) -> Value:
    """aten.hardtanh_backward: grad where min_val < x < max_val, else 0 (ReLU6 is one of these)."""
    x = _clipped(x, min_val, max_val)
    inside = op.And(op.Greater(x, floats(min_val)), op.Less(x, floats(max_val)))
    return op.Mul(grad, op.Cast(inside, to=FLOAT))


def _clipped(x: Value, low: float, high: float) -> Value:
    """What the forward pass made of `x` with these bounds, which lies between them where x does; else `x` itself.

    The next layer's gradient needs it anyway, so that `x` need not be kept for this one.
    """
    if isinstance(x, ir.Value):
        for node in x.consumers():
            if node.op_type == "Clip" and [_number(bound) for bound in node.inputs[1:]] == [low, high]:
                return node.outputs[0]
    return x


def _number(value: Value) -> float | None:
    """What a constant holds; None for any other value."""
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return float(np.asarray(tensor.numpy())) if tensor is not None and tensor.size == 1 else None


def leaky_relu(x: Value, negative_slope: float = 0.01) -> Value:
    """aten.leaky_relu."""
    return op.LeakyRelu(x, alpha=float(negative_slope))


def leaky_relu_backward(grad: Value, x: Value, negative_slope: float, self_is_result: bool) -> Value:
    """aten.leaky_relu_backward: grad where x > 0, else negative_slope * grad."""
    mask = positive(x)
    slope = op.Add(op.Mul(op.Sub(floats(1.0), mask), floats(negative_slope)), mask)
    return op.Mul(grad, slope)


def elu(x: Value, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Value:
    """aten.elu."""
    inner = x if input_scale == 1 else op.Mul(x, floats(input_scale))
    return op.Mul(op.Elu(inner, alpha=float(alpha)), floats(scale)) if scale != 1 else op.Elu(inner, alpha=float(alpha))


def hardswish(x: Value) -> Value:
    """aten.hardswish."""
    return op.HardSwish(x)


def hardswish_backward(grad: Value, x: Value) -> Value:
    """aten.hardswish_backward: 0 below -3, x/3 + 1/2 up to 3, 1 above."""
    ramp = op.Add(op.Mul(x, floats(1 / 3)), floats(0.5))
    inside = op.Cast(op.And(op.Greater(x, floats(-3.0)), op.Less(x, floats(3.0))), to=FLOAT)
    above = op.Cast(op.GreaterOrEqual(x, floats(3.0)), to=FLOAT)
    return op.Mul(grad, op.Add(op.Mul(inside, ramp), above))


def hardsigmoid_backward(grad: Value, x: Value) -> Value:
    """aten.hardsigmoid_backward: 1/6 between -3 and 3, else 0."""
    inside = op.And(op.Greater(x, floats(-3.0)), op.Less(x, floats(3.0)))
    return op.Mul(grad, op.Mul(op.Cast(inside, to=FLOAT), floats(1 / 6)))


def silu(x: Value) -> Value:
    """aten.silu."""
    return op.Mul(x, op.Sigmoid(x))


def silu_backward(grad: Value, x: Value) -> Value:
    """aten.silu_backward: s (1 + x (1 - s)) = (y - s y) + s with s = sigmoid(x), y = x s; both known from before."""
    s = op.Sigmoid(x)
    y = op.Mul(x, s)
    return op.Mul(grad, op.Add(op.Sub(y, op.Mul(s, y)), s))

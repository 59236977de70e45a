"""Gradients of activations that the general rules write with Where, a slow operator in ONNX Runtime. May import
onnxscript and `export.onnx_forms.values`.
"""

from onnxscript import opset18 as op

from export.onnx_forms.values import Value

STEEP = 2.0**126  # as a slope it turns every normal float above 0 into at least 1


def threshold_backward(grad: Value, x: Value, threshold: float) -> Value:
    """aten.threshold_backward: grad where x > threshold, else 0. A NaN in `x` or a non-finite `grad` stays visible."""
    if threshold == 0:
        return op.Mul(grad, positive(x))
    return op.Where(op.LessOrEqual(x, float(threshold)), 0.0, grad)


def positive(x: Value) -> Value:
    """1 where x > 0, else 0, in one pass. (0, 2**-126), which no training reaches, gives a value in between."""
    return op.HardSigmoid(x, alpha=STEEP, beta=0.0)

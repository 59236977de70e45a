"""The angle of a point, right on the axes and at zeros of either sign, where torch's own ONNX form is not."""

import math

from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.values import Value, floats


def atan2(y: Value, x: Value) -> Value:
    """aten.atan2: the angle of (x, y) from -pi to pi."""
    up, across = op.Abs(y), op.Abs(x)
    # Equal ones are 45 degrees, also if infinite, but 0 if both are 0: the sign tells these apart.
    slope = op.Where(op.Equal(up, across), op.Sign(up), op.Div(up, across))
    acute = op.Atan(slope)
    upper = op.Where(_negative(x), op.Sub(floats(math.pi), acute), acute)
    return op.Where(_negative(y), op.Neg(upper), upper)


def _negative(value: Value) -> Value:
    """Where the sign is minus; that of -0 shows in its reciprocal, that of -infinity does not."""
    zero = floats(0.0)
    return op.Or(op.Less(value, zero), op.Less(op.Div(floats(1.0), value), zero))

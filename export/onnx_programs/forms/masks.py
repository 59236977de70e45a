"""Masks of 0 and 1 in one pass."""

from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.values import Value

STEEP = 2.0**126  # as a slope it turns every float from 2**-126, the smallest normal one, on into at least 1


def positive(x: Value) -> Value:
    """1 where x > 0, else 0. (0, 2**-126), which no training reaches, gives a value in between."""
    return op.HardSigmoid(x, alpha=STEEP, beta=0.0)

"""Batch normalization by known statistics, as one operator."""

from onnxscript import opset18 as op

from fedrela.export.onnx_programs.forms.values import Value, unused


def native_batch_norm_no_training(
    x: Value, weight: Value, bias: Value, mean: Value, var: Value, momentum: float, eps: float
) -> tuple[Value, Value, Value]:
    """aten._native_batch_norm_legit_no_training: y; nothing reads the empty saved statistics."""
    y = op.BatchNormalization(x, weight, bias, mean, var, epsilon=float(eps))
    return (y[0] if isinstance(y, list | tuple) else y), unused(), unused()

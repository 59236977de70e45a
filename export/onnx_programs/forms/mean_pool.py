"""Mean pooling, also with a divisor of its own, which ONNX doesn't know and torch's ONNX form leaves out."""

from collections.abc import Sequence
from math import prod

from onnxscript import opset18 as op
from onnxscript.function_libs.torch_lib.ops import nn

from fedrela.export.onnx_programs.forms.max_pool import windows_of
from fedrela.export.onnx_programs.forms.values import Value, floats, integers


def avg_pool2d(
    x: Value,
    kernel_size: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    """aten.avg_pool2d."""
    if not divisor_override:
        return nn.aten_avg_pool2d(x, kernel_size, stride, padding, ceil_mode, count_include_pad)
    windows = windows_of(x, kernel_size, stride, padding, (1,), ceil_mode)
    pads = [0, 0, *windows.padding, 0, 0, *windows.pad_ends]
    if any(pads):  # written out, so that every mean is one of a whole window
        x = op.Pad(x, integers(pads), floats(0.0))
    means = op.AveragePool(x, kernel_shape=windows.kernel, strides=windows.stride)
    return op.Mul(means, floats(prod(windows.kernel) / divisor_override))

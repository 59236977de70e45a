"""Reading and writing by tensors of indices: ONNX takes int64 alone, and torch's own forms hand on what they get.

Torch's own gradients of windows index by int32.
"""

from collections.abc import Sequence

from onnxscript import opset18 as op
from onnxscript.function_libs.torch_lib.ops import core

from fedrela.export.onnx_programs.forms.values import INT32, INT64, Value

Indices = Sequence[Value | None]


def index(x: Value, indices: Indices) -> Value:
    """aten.index: x[indices]."""
    return core.aten_index(x, _in_int64(indices))


def index_put(x: Value, indices: Indices, values: Value, accumulate: bool = False) -> Value:
    """aten.index_put: x with `values` at x[indices], or added to what is there."""
    return core.aten_index_put(x, _in_int64(indices), values, accumulate)


def _in_int64(indices: Indices) -> list[Value | None]:
    return [_cast(item) if item is not None and item.dtype == INT32 else item for item in indices]


def _cast(item: Value) -> Value:
    cast: Value = op.Cast(item, to=INT64)
    cast.shape = item.shape  # torch's forms ask for it
    return cast

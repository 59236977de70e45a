"""What a form knows of its operands while it is being written: static dimensions, and constants it may add.

Dimension 0 of an activation is the batch and has no static size; forms address it with -1 or 0 in a Reshape.

    >>> import onnx_ir as ir
    >>> static_dims(ir.Value(name="x", shape=ir.Shape(["B", 3, 8, 8])))
    (None, 3, 8, 8)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript import opset18 as op

FLOAT = int(ir.DataType.FLOAT)
INT32, INT64 = int(ir.DataType.INT32), int(ir.DataType.INT64)
Value = Any  # an onnx_ir.Value while a form is written; onnxscript types its operators the same way


def static_dims(value: Value) -> tuple[int | None, ...]:
    """The sizes of `value`; None where a size is known only when the program runs."""
    if value.shape is None:
        raise ValueError(f"{value.name} has no shape")
    return tuple(size if isinstance(size, int) else None for size in value.shape)


def spatial_sizes(value: Value) -> tuple[int, ...]:
    """The sizes after batch and channels. Raises ValueError if one of them is open."""
    sizes = static_dims(value)[2:]
    if None in sizes:
        raise ValueError(f"the spatial size of {value.name} is open: {sizes}")
    return tuple(int(size or 0) for size in sizes)


def channels_of(value: Value) -> int:
    """The size of dimension 1. Raises ValueError if it is open."""
    size = static_dims(value)[1]
    if size is None:
        raise ValueError(f"the number of channels of {value.name} is open")
    return size


def spread(setting: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """One number per spatial axis: a single setting stands for all of them."""
    values = [setting] if isinstance(setting, int) else list(setting)
    return tuple(int(v) for v in (values * rank if len(values) == 1 else values))


def floats(array: NDArray[Any] | Sequence[float] | float) -> Value:
    """A float32 constant."""
    return op.Constant(value=_tensor(np.asarray(array, dtype=np.float32)))


def integers(values: Sequence[int]) -> Value:
    """A one-dimensional int64 constant: axes, shapes and the like."""
    return op.Constant(value=_tensor(np.asarray(values, dtype=np.int64)))


def reshape(value: Value, *sizes: int) -> Value:
    """Reshape; 0 keeps the operand's size at that place, -1 is worked out."""
    return op.Reshape(value, integers(sizes))


def reduce_sum(value: Value, *axes: int, keep: bool = False) -> Value:
    """Sum over `axes`."""
    return op.ReduceSum(value, integers(axes), keepdims=int(keep))


def filled(number: float, like_dim: Value, *rest: int) -> Value:
    """A float32 tensor of `number`, shape (`like_dim`, *rest); `like_dim` is a one-element int64 tensor."""
    shape = op.Concat(like_dim, integers(rest), axis=0) if rest else like_dim
    return op.ConstantOfShape(shape, value=_tensor(np.asarray([number], dtype=np.float32)))


def unused() -> Value:
    """Stands for an output that nothing asked for; dead code, so no program holds it."""
    return op.Constant(value=_tensor(np.zeros((), np.float32)))


def producer(value: Value, kind: str) -> ir.Node | None:
    """The node of operator `kind` that made `value`, seen through Identity; None if another one did."""
    node = value.producer() if isinstance(value, ir.Value) else None
    while node is not None and node.op_type == "Identity" and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node if node is not None and node.op_type == kind else None


def enlarge(value: Value, factors: Sequence[int]) -> Value:
    """Every element repeated `factors` times along each spatial axis."""
    scales = floats([1.0, 1.0, *factors])
    return op.Resize(
        value, None, scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


def scale_and_shift(x: Value, scale: Value, shift: Value, channels: int) -> Value:
    """x * scale + shift, one number each per channel (dimension 1), in one pass over x."""
    zeros, ones = floats(np.zeros(channels)), floats(np.ones(channels))
    return op.BatchNormalization(x, scale, shift, zeros, ones, epsilon=0.0)


def _tensor(array: NDArray[Any]) -> Any:
    """onnxscript takes onnx_ir's tensors, but its types know only onnx's."""
    return ir.tensor(array)

"""Run one ONNX form on arrays: its nodes alone in a model, dimension 0 of every input left open."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxscript import evaluator
from onnxscript.values import Opset
from torch.onnx._internal.exporter._building import OpRecorder

from fedrela.export.onnx_programs.program import IR_VERSION
from fedrela.export.onnx_programs.translation import OPSET

Array = NDArray[Any]
TOLERANCE = 1e-5


def build(form: Callable[..., Any], inputs: Sequence[Array | None], *settings: Any) -> tuple[bytes, list[str]]:
    """A model of `form(*inputs, *settings)` and its operators' names; every output is kept."""
    values = [None if array is None else _input(index, array) for index, array in enumerate(inputs)]
    recorder = OpRecorder(Opset("", OPSET), {})  # type: ignore[abstract]
    with evaluator.default_as(recorder):
        outputs = form(*values, *settings)
    outputs = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
    for index, output in enumerate(outputs):
        output.name = f"output{index}"
    graph = ir.Graph(
        [value for value in values if value is not None],
        outputs,
        nodes=recorder.nodes,
        opset_imports={"": OPSET},
        name="form",
    )
    ir.passes.common.NameFixPass()(model := ir.Model(graph, ir_version=IR_VERSION))
    operators = [node.op_type for node in graph]
    return ir.to_proto(model).SerializeToString(), operators


def run(form: Callable[..., Any], inputs: Sequence[Array | None], *settings: Any) -> list[Array]:
    """The outputs of `form(*inputs, *settings)` on stock ONNX Runtime."""
    body, _ = build(form, inputs, *settings)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    fed = {item.name: array for item, array in zip(session.get_inputs(), _given(inputs), strict=True)}
    return list(session.run(None, fed))


def _given(inputs: Sequence[Array | None]) -> list[Array]:
    return [array for array in inputs if array is not None]


def _input(index: int, array: Array) -> ir.Value:
    shape = ir.Shape(["B", *array.shape[1:]] if array.ndim > 1 and index < 2 else array.shape)
    dtype = ir.TensorType(ir.DataType.from_numpy(array.dtype))
    return ir.Value(name=f"input{index}", shape=shape, type=dtype)


def relative_error(expected: Array, actual: Array) -> float:
    """max |difference| / max |expected|; infinite for another shape."""
    if expected.shape != actual.shape:
        return float("inf")
    return float(np.abs(expected - actual).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30))


def uniform(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(expected: object, actual: np.ndarray) -> None:
    assert relative_error(np.asarray(expected), actual) <= TOLERANCE


def torches(*arrays: np.ndarray | None) -> list[torch.Tensor | None]:
    return [None if array is None else torch.from_numpy(array) for array in arrays]

"""Binding constants into a program: the same answers as feeding them, and no damaged file gets through."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files.constants import with_constants
from fedrela.core.tensors import Array

WEIGHTS: dict[str, Array] = {
    "w": np.arange(6, dtype=np.float32).reshape(3, 2),
    "b": np.array([1.0, -1.0], np.float32),
    "k": np.array(2, np.int64),
}
X = np.ones((4, 3), np.float32)


def program() -> bytes:
    """y = (x w + b) * float(k)."""
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["xw"]),
        helper.make_node("Cast", ["k"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["xw", "factor"], ["y"]),
    ]
    inputs = [
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [3, 2]),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 3]),
        helper.make_tensor_value_info("b", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("k", TensorProto.INT64, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 2])]
    graph = helper.make_graph(nodes, "program", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


def run(body: bytes, fed: dict[str, np.ndarray]) -> np.ndarray:
    return onnxruntime.InferenceSession(body, providers=["CPUExecutionProvider"]).run(None, fed)[0]


def test_constants_answer_as_inputs_do() -> None:
    bound = with_constants(program(), WEIGHTS)
    assert np.array_equal(run(bound, {"x": X}), run(program(), {"x": X} | WEIGHTS))


def test_the_result_is_a_valid_model_whose_only_input_is_x() -> None:
    model = onnx.load_from_string(with_constants(program(), WEIGHTS))
    onnx.checker.check_model(model, full_check=True)
    assert [item.name for item in model.graph.input] == ["x"]
    assert {item.name: tuple(item.dims) for item in model.graph.initializer} == {"w": (3, 2), "b": (2,), "k": ()}


def test_binding_some_leaves_the_others_inputs_in_order() -> None:
    model = onnx.load_from_string(with_constants(program(), {"b": WEIGHTS["b"]}))
    assert [item.name for item in model.graph.input] == ["w", "x", "k"]


def test_an_array_that_is_not_contiguous_is_bound_by_value() -> None:
    turned = {**WEIGHTS, "w": np.asfortranarray(WEIGHTS["w"])}
    assert with_constants(program(), turned) == with_constants(program(), WEIGHTS)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidBundle, match="no input 'nothing'"):
        with_constants(program(), {"nothing": X})


def test_another_dtype_is_refused() -> None:
    with pytest.raises(InvalidBundle, match="float64"):
        with_constants(program(), {"w": WEIGHTS["w"].astype(np.float64)})


# Behind the graph there is only the operator set's version: a key, a length and the message.
GRAPH_END = len(program()) - 2 - len(helper.make_opsetid("", 18).SerializeToString())


@settings(deadline=None)
@given(st.integers(0, GRAPH_END - 1))
def test_a_file_cut_short_in_its_graph_is_refused(length: int) -> None:
    with pytest.raises(InvalidBundle):
        with_constants(program()[:length], WEIGHTS)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_noise_raises_nothing_else(noise: bytes) -> None:
    with pytest.raises(InvalidBundle):
        with_constants(noise, WEIGHTS)

"""Activations made twice: the same bits, from operators that a runtime does not merge with the first ones."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from fedrela.export.onnx_programs.recompute import recompute

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    step (float[B, 2, 4, 4] x, float[2, 2, 3, 3] w, float[2] s, float[2] b, float[2] m, float[2] v)
        => (float loss_sum, float[B, 2, 4, 4] gradient) {
        c = Conv <pads = [1, 1, 1, 1]> (x, w)
        n = BatchNormalization <epsilon = 0.001> (c, s, b, m, v)
        a = Relu (n)
        y = Conv <pads = [1, 1, 1, 1]> (a, w)
        loss_sum = ReduceSum <keepdims = 0> (y)
        d = Mul (a, READ)
        gradient = Neg (d)
    }
"""
DEFINITION: Any = SimpleNamespace(outputs=("loss_sum", "gradient"))
SIZE, COST = 2 * 4 * 4, 2 * 3 * 3  # elements of one example, multiplications for each


def made(read: str = "c", **limits: int) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The step before and after; the gradient reads what `read` names."""
    before, after = (onnx.parser.parse_model(TEXT.replace("READ", read)) for _ in range(2))
    recompute(after, DEFINITION, **({"large": SIZE, "costly": COST} | limits))
    onnx.checker.check_model(after)
    return before, after


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def results(model: onnx.ModelProto, path: Path) -> list[np.ndarray]:
    """On three random examples; what the runtime has made of the program is at `path`."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    given = {
        item.name: [3 if size is None or isinstance(size, str) else size for size in item.shape]
        for item in session.get_inputs()
    }
    return session.run(None, {name: rng.random(shape, dtype=np.float32) for name, shape in given.items()})


def test_the_backward_pass_makes_the_activation_anew_bit_for_bit(tmp_path: Path) -> None:
    before, after = made()
    for want, got in zip(results(before, tmp_path / "before"), results(after, tmp_path / "after"), strict=True):
        np.testing.assert_array_equal(want, got)
    kept = operators(onnx.load(tmp_path / "after"))
    assert kept.count("BatchNormalization") == kept.count("Relu") == 2
    (late,) = [node for node in after.graph.node if node.op_type == "Mul"]
    (early,) = [node for node in after.graph.node if node.op_type == "Conv" and "x" not in node.input]
    assert list(late.input) == ["a.again", "c"]
    assert list(early.input) == ["a", "w"]


@pytest.mark.parametrize(
    "limits", [{"large": SIZE + 1}, {"costly": COST + 1}, {"read": "a"}], ids=["small", "cheap", "nothing saved"]
)
def test_what_would_not_pay_stays(limits: dict) -> None:
    before, after = made(**limits)
    assert operators(before) == operators(after)

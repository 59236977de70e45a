"""The order of a training program: updates wait for the readers of what they write over, and change no value."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from fedrela.core import bundle
from fedrela.core.bundle import ProgramInput
from fedrela.core.onnx_files.in_place import nodes, updatable
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.export.classifier import Exported
from fedrela.export.onnx_programs import order

TEXT = """
    <ir_version: 8, opset_import: ["" : 18]>
    step (float[3, 3] a, float[3, 3] b, float[B, 3] x, float lr) => (float[3, 3] new_a, float[3, 3] new_b) {
        h = MatMul (x, a)
        y = MatMul (h, b)
        bt = Transpose <perm = [1, 0]> (b)
        dh = MatMul (y, bt)
        ht = Transpose <perm = [1, 0]> (h)
        db = MatMul (ht, y)
        xt = Transpose <perm = [1, 0]> (x)
        da = MatMul (xt, dh)
        sa = Mul (da, lr)
        sb = Mul (db, lr)
        new_a = Sub (a, sa)
        new_b = Sub (b, sb)
    }
"""
CARRIED = {"a": "new.a", "b": "new.b"}
DEFINITION: Any = SimpleNamespace(
    inputs=(
        ProgramInput("a", "parameter", (3, 3)),
        ProgramInput("b", "parameter", (3, 3)),
        ProgramInput("x", "x", ("B", 3)),
        ProgramInput("lr", "hyperparameter", ()),
    ),
    outputs=("new.a", "new.b"),
)


@pytest.fixture
def model() -> onnx.ModelProto:
    """Two linear layers: the gradient of the first reads the second's weight."""
    parsed = onnx.parser.parse_model(TEXT)
    for named in (*parsed.graph.output, *parsed.graph.node):
        if isinstance(named, onnx.NodeProto):
            named.output[:] = [name.replace("new_", "new.") for name in named.output]
        else:
            named.name = named.name.replace("new_", "new.")
    return parsed


def run(model: onnx.ModelProto, size: int, *, in_place: bool) -> list[np.ndarray]:
    """Both new weights after a step, which may overwrite the old ones."""
    rng = np.random.default_rng(0)
    state = {name: rng.standard_normal((3, 3)).astype(np.float32) for name in CARRIED}
    new = state if in_place else {name: np.empty_like(array) for name, array in state.items()}
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    fed = state | {"x": rng.standard_normal((size, 3)).astype(np.float32), "lr": np.float32(0.1).reshape(())}
    values = {name: onnxruntime.OrtValue.ortvalue_from_numpy(np.asarray(array)) for name, array in fed.items()}
    for name, value in values.items():
        binding.bind_ortvalue_input(name, value)
    for name, array in new.items():
        binding.bind_ortvalue_output(CARRIED[name], onnxruntime.OrtValue.ortvalue_from_numpy(array))
    session.run_with_iobinding(binding)
    return [new[name] for name in CARRIED]


def test_every_update_waits_for_what_reads_the_parameter(model: onnx.ModelProto) -> None:
    assert updatable(nodes(model.SerializeToString()), CARRIED, {"x"}) == {"a"}
    order.prepare(model, DEFINITION, smallest=1)
    onnx.checker.check_model(model)
    assert updatable(nodes(model.SerializeToString()), CARRIED, {"x"}) == {"a", "b"}


def test_a_parameter_that_is_read_for_something_of_a_fixed_size_is_held_twice(model: onnx.ModelProto) -> None:
    """A runtime could work the fixed size out ahead, and then nothing would wait for the reader."""
    model.graph.node.append(onnx.helper.make_node("MatMul", ["db", "b"], ["fixed"]))
    order.prepare(model, DEFINITION, smallest=1)
    assert updatable(nodes(model.SerializeToString()), CARRIED, {"x"}) == {"a"}


@pytest.mark.parametrize("size", [1, 5])
def test_waiting_and_writing_over_change_no_bit(model: onnx.ModelProto, size: int) -> None:
    before = run(model, size, in_place=False)
    order.prepare(model, DEFINITION, smallest=1)
    for in_place in (False, True):
        for expected, actual in zip(before, run(model, size, in_place=in_place), strict=True):
            assert np.array_equal(expected, actual)


def test_an_update_that_is_not_finite_passes_through_the_wait(model: onnx.ModelProto) -> None:
    """The other gradient's values play no part, only its size."""
    order.prepare(model, DEFINITION, smallest=1)
    (shape,) = [node for node in model.graph.node if node.op_type == "Shape"]
    makers = {output: node for node in model.graph.node for output in node.output}
    assert makers[shape.input[0]].op_type == "MatMul"
    (consumer,) = [node for node in model.graph.node if shape.output[0] in node.input]
    assert consumer.op_type == "Mul"


def test_what_needs_no_batch_comes_first(model: onnx.ModelProto) -> None:
    order.prepare(model, DEFINITION, smallest=1)
    assert model.graph.node[0].output == ["bt"]


def test_the_same_program_gives_the_same_bytes(model: onnx.ModelProto) -> None:
    other = onnx.ModelProto.FromString(model.SerializeToString())
    for each in (model, other):
        order.prepare(each, DEFINITION, smallest=1)
    assert model.SerializeToString(deterministic=True) == other.SerializeToString(deterministic=True)


def test_a_small_parameter_is_not_worth_a_wait(model: onnx.ModelProto) -> None:
    count = len(model.graph.node)
    order.prepare(model, DEFINITION)
    assert len(model.graph.node) == count


def test_momentum_and_statistics_of_an_exported_classifier_are_held_once(exported: Exported) -> None:
    """Convolution, BatchNorm and linear layers with momentum; only the small linear weight is read late."""
    opened = bundle.read(exported.folder)
    engine = OnnxEngine(opened.manifest, {"train_step": (exported.folder / "train_step.onnx").read_bytes()})
    one, other = engine.start(opened.weights).buffers
    assert {name for name, array in one.items() if not np.shares_memory(array, other[name])} <= {"1.weight", "6.weight"}

"""A program that reaches out of its file, or that no exporter of ours writes, is refused before a runtime sees it."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from fedrela.conformance.files import VECTORS
from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files import rules

FLOAT, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
PROGRAMS = sorted(VECTORS.glob("**/*.onnx"))


def value(name: str, kind: int = FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, [])


def weight() -> onnx.TensorProto:
    return helper.make_tensor("w", FLOAT, [2], [1.0, 2.0])


def model(*nodes: onnx.NodeProto, initializers: tuple[onnx.TensorProto, ...] = ()) -> onnx.ModelProto:
    """y from x by these operators."""
    steps = nodes or (helper.make_node("Add", ["x", "w"], ["y"]),)
    graph = helper.make_graph(steps, "g", [value("x")], [value("y")], initializers or (weight(),))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def body(*outputs: str) -> onnx.GraphProto:
    """The graph of a branch."""
    node = helper.make_node("Identity", ["x"], ["inner"])
    return helper.make_graph([node], "branch", [], [value("inner")])


def loop_of(initializers: tuple[onnx.TensorProto, ...], bound: str) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["s"], ["t"])],
        "body",
        [value("i", INT64), value("go", BOOL), value("s")],
        [value("on", BOOL), value("t")],
    )
    return model(helper.make_node("Loop", [bound, "", "x"], ["y"], body=graph), initializers=initializers)


def whole(number: int) -> onnx.TensorProto:
    return helper.make_tensor("n", INT64, [], [number])


def external(tensor: onnx.TensorProto) -> None:
    """Say that the tensor's bytes are in a file of the owner's."""
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=".ssh/id_ed25519")


def spoil_initializer(program: onnx.ModelProto) -> None:
    external(program.graph.initializer[0])


def spoil_constant(program: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=weight())
    external(node.attribute[0].t)
    program.graph.node.insert(0, node)


def spoil_branch(program: onnx.ModelProto) -> None:
    inner = body()
    inner.initializer.append(weight())
    external(inner.initializer[0])
    program.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=body()))


def spoil_location_alone(program: onnx.ModelProto) -> None:
    program.graph.initializer[0].data_location = TensorProto.EXTERNAL


def spoil_sparse(program: onnx.ModelProto) -> None:
    program.graph.sparse_initializer.add()


def spoil_function(program: onnx.ModelProto) -> None:
    program.functions.add(name="f", domain="own")


def spoil_training(program: onnx.ModelProto) -> None:
    program.training_info.add()


def spoil_domain(program: onnx.ModelProto) -> None:
    program.graph.node[0].domain = "com.microsoft"


def spoil_opset(program: onnx.ModelProto) -> None:
    program.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def spoil_version(program: onnx.ModelProto) -> None:
    program.opset_import[0].version = 99


def spoil_operator(program: onnx.ModelProto) -> None:
    program.graph.node[0].op_type = "RandomNormalLike"


def spoil_strings(program: onnx.ModelProto) -> None:
    program.graph.initializer.append(helper.make_tensor("t", TensorProto.STRING, [1], [b"x"]))  # type: ignore[list-item]


def spoil_reference(program: onnx.ModelProto) -> None:
    program.graph.node[0].attribute.add(name="axis", ref_attr_name="axis")


SPOILERS = [
    spoil_initializer,
    spoil_constant,
    spoil_branch,
    spoil_location_alone,
    spoil_sparse,
    spoil_function,
    spoil_training,
    spoil_domain,
    spoil_opset,
    spoil_version,
    spoil_operator,
    spoil_strings,
    spoil_reference,
]


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: "/".join(path.parts[-3:]))
def test_what_the_exporter_writes_is_admitted(path: Path) -> None:
    rules.check(path.read_bytes(), path.stem)


@pytest.mark.parametrize("spoil", SPOILERS)
def test_what_it_does_not_write_is_refused(spoil: Callable[[onnx.ModelProto], None]) -> None:
    program = model()
    rules.check(program.SerializeToString(), "predict")
    spoil(program)
    with pytest.raises(InvalidBundle, match="program predict holds"):
        rules.check(program.SerializeToString(), "predict")


def test_loops_have_a_bound_that_is_a_constant() -> None:
    rules.check(loop_of((whole(5),), "n").SerializeToString(), "p")
    given_by_operator = loop_of((whole(5),), "m")
    given_by_operator.graph.node.insert(0, helper.make_node("Constant", [], ["m"], value_int=7))
    rules.check(given_by_operator.SerializeToString(), "p")
    for endless in (loop_of((whole(5),), ""), loop_of((whole(5),), "x"), loop_of((whole(10**9),), "n")):
        with pytest.raises(InvalidBundle, match="a loop without a bound"):
            rules.check(endless.SerializeToString(), "p")
    with pytest.raises(InvalidBundle, match="a loop without a bound"):
        rules.check(loop_of((whole(-1),), "n").SerializeToString(), "p")


def test_a_bound_that_readers_could_take_for_another_is_none() -> None:
    both = whole(5)
    both.raw_data = (10**12).to_bytes(8, "little")
    fed = loop_of((whole(5),), "n")
    fed.graph.input.append(value("n", INT64))
    for ambiguous in (loop_of((both,), "n"), loop_of((whole(5), whole(10**12)), "n"), fed):
        with pytest.raises(InvalidBundle, match="a loop without a bound"):
            rules.check(ambiguous.SerializeToString(), "p")


def test_a_model_within_a_model_without_end_is_refused() -> None:
    inner = body()
    for _ in range(rules.MOST_DEPTH):
        outer = body()
        outer.node.append(helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=body()))
        inner = outer
    program = model(helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=body()))
    with pytest.raises(InvalidBundle, match="without end"):
        rules.check(program.SerializeToString(), "p")


def test_two_graphs_that_a_reader_would_merge_are_refused() -> None:
    good, evil = model(), model()
    spoil_initializer(evil)
    with pytest.raises(InvalidBundle, match="2 graphs"):
        rules.check(good.SerializeToString() + evil.SerializeToString(), "p")


@given(st.data())
def test_whatever_the_bytes_only_our_errors_come_out(data: st.DataObject) -> None:
    program = bytearray(model().SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        program[data.draw(st.integers(0, len(program) - 1))] = data.draw(st.integers(0, 255))
    try:
        rules.check(bytes(program), "p")
    except InvalidBundle:
        return
    try:
        loaded = onnx.ModelProto.FromString(bytes(program))
    except DecodeError:
        return  # which a runtime refuses by itself
    assert not any(tensor.external_data or tensor.data_location for tensor in loaded.graph.initializer)

"""Which state may be written over: every reader must come before the writer in any order that a runtime may pick."""

import numpy as np
import onnx.parser
import pytest

from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files.in_place import Node, late_readers, nodes, updatable

CARRIED = {"w": "new.w", "v": "new.v"}


def step(*operators: str) -> list[Node]:
    """`out = Op(in, in)` a line."""
    nodes = []
    for text in operators:
        outputs, _, rest = text.partition(" = ")
        operator, _, inputs = rest.rstrip(")").partition("(")
        nodes.append(Node(operator, tuple(filter(None, inputs.split(", "))), tuple(outputs.split(", "))))
    return nodes


FORWARD = ("y = MatMul(x, w)", "g = MatMul(x, y)")
VELOCITY = ("m = Mul(v, momentum)", "new.v = Add(m, g)", "s = Mul(new.v, lr)")


def test_momentum_and_a_parameter_that_only_the_forward_pass_reads_are_updatable() -> None:
    graph = step(*FORWARD, *VELOCITY, "new.w = Sub(w, s)")
    assert updatable(graph, CARRIED, {"x"}) == {"w", "v"}


def test_a_parameter_that_the_input_gradient_reads_is_not() -> None:
    graph = step(*FORWARD, "dx = MatMul(y, w)", *VELOCITY, "new.w = Sub(w, s)", "loss = ReduceSum(dx)")
    assert late_readers(graph, CARRIED, {"x"}) == {"w": (2,), "v": ()}


@pytest.mark.parametrize("copy", ["Transpose", "Reshape", "Cast"])
def test_what_is_computed_from_state_alone_is_still_that_state(copy: str) -> None:
    """The copy runs early, for the forward pass; but a runtime that merges it into its late reader reads w late."""
    graph = step(
        f"t = {copy}(w)", "y = MatMul(x, t)", "g = MatMul(x, y)", "dx = MatMul(y, t)", *VELOCITY, "new.w = Sub(w, s)"
    )
    assert late_readers(graph, CARRIED, {"x"})["w"] == (3,)


def test_a_view_whose_shape_comes_from_the_batch_is_still_that_state() -> None:
    graph = step("t = Reshape(w, x)", "y = MatMul(x, t)", "g = MatMul(x, y)", "dx = MatMul(y, t)", *VELOCITY)
    graph += step("new.w = Sub(w, s)")
    assert late_readers(graph, CARRIED, {"x"})["w"] == (3,)


def test_an_optimizer_that_reads_old_momentum_elsewhere_keeps_it() -> None:
    graph = step(*FORWARD, *VELOCITY[:2], "old = Mul(v, lr)", "s = Add(old, g)", "new.w = Sub(w, s)")
    assert updatable(graph, CARRIED, {"x"}) == {"w"}


def test_a_writer_that_reads_other_elements_than_it_writes_is_no_update_in_place() -> None:
    product = step(*FORWARD, *VELOCITY, "new.w = Gemm(s, w)")
    turned = step(*FORWARD, *VELOCITY, "t = Transpose(w)", "new.w = Sub(t, s)")
    for graph in (product, turned):
        assert updatable(graph, CARRIED, {"x"}) == {"v"}


def test_state_that_nothing_writes_is_not_updatable() -> None:
    assert updatable(step(*FORWARD), CARRIED, {"x"}) == frozenset()


def test_what_a_branch_reads_counts_as_read_by_the_operator_that_has_it() -> None:
    text = """
        <ir_version: 8, opset_import: ["" : 18]>
        step (float[2] w, float[2] x, bool late) => (float[2] new, float[2] y) {
            new = Sub (w, x)
            y = If (late) <
                then_branch = yes () => (float[2] a) { a = Add (w, x) },
                else_branch = no () => (float[2] b) { b = Neg (x) }
            >
        }
    """
    graph = nodes(onnx.parser.parse_model(text).SerializeToString())
    assert [node.operator for node in graph] == ["Sub", "If"]
    assert late_readers(graph, {"w": "new"}, {"x"}) == {"w": (1,)}


def test_bytes_that_are_no_program_are_refused() -> None:
    with pytest.raises(InvalidBundle, match="no graph"):
        nodes(b"")
    with pytest.raises(InvalidBundle):
        nodes(np.arange(200, dtype=np.uint8).tobytes())

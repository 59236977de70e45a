"""A .pte file that reaches out of itself, or that no exporter of ours writes, is refused before ExecuTorch sees it.

ExecuTorch's own serializer writes the hostile ones.
"""

import struct
from collections.abc import Callable
from dataclasses import replace

import pytest
from executorch.exir import schema
from executorch.exir._serialize import _deserialize_pte_binary, _serialize_pte_binary
from hypothesis import given
from hypothesis import strategies as st

from fedrela.conformance.files import VECTORS
from fedrela.core.errors import InvalidBundle
from fedrela.core.pte_files import rules

PROGRAMS = sorted(VECTORS.glob("**/*.pte"))
GOOD = (VECTORS / "golden" / "train_step.pte").read_bytes()
SMALL = (VECTORS / "golden" / "predict.pte").read_bytes()

Spoil = Callable[[schema.ExecutionPlan], None]


def tensors(plan: schema.ExecutionPlan) -> list[schema.Tensor]:
    return [value.val for value in plan.values if isinstance(value.val, schema.Tensor)]


def random_kernel(plan: schema.ExecutionPlan) -> None:
    plan.operators[0] = schema.Operator("aten::rand", "out")


def unwritten_memory(plan: schema.ExecutionPlan) -> None:
    plan.operators[0] = schema.Operator("aten::empty", "out")


def custom_kernel(plan: schema.ExecutionPlan) -> None:
    plan.operators[0] = schema.Operator("mylib::read_file", "out")


def delegate(plan: schema.ExecutionPlan) -> None:
    reference = schema.BackendDelegateDataReference(schema.DataLocation.INLINE, 0)
    plan.delegates.append(schema.BackendDelegate("XnnpackBackend", reference, []))


def call_of_a_delegate(plan: schema.ExecutionPlan) -> None:
    plan.chains[0].instructions.append(schema.Instruction(schema.DelegateCall(0, [0])))


def external_data(plan: schema.ExecutionPlan) -> None:
    outside = schema.TensorDataLocation.EXTERNAL
    tensors(plan)[0].extra_tensor_info = schema.ExtraTensorInfo(fully_qualified_name="key", location=outside)


def jump_back(plan: schema.ExecutionPlan) -> None:
    plan.chains[0].instructions.append(schema.Instruction(schema.JumpFalseCall(0, 0)))


def jump_in_place(plan: schema.ExecutionPlan) -> None:
    here = len(plan.chains[0].instructions)
    plan.chains[0].instructions.append(schema.Instruction(schema.JumpFalseCall(0, here)))


def too_many_dimensions(plan: schema.ExecutionPlan) -> None:
    tensors(plan)[0].sizes = [1] * 17


def too_many_elements(plan: schema.ExecutionPlan) -> None:
    tensors(plan)[0].sizes = [2**31 - 1] * 2


def negative_size(plan: schema.ExecutionPlan) -> None:
    tensors(plan)[0].sizes = [-1]


def large_plan(plan: schema.ExecutionPlan) -> None:
    plan.non_const_buffer_sizes = [0, rules.MOST_PLANNED_BYTES + 1]


def negative_plan(plan: schema.ExecutionPlan) -> None:
    plan.non_const_buffer_sizes = [0, -1]


def argument_beyond(plan: schema.ExecutionPlan) -> None:
    call = plan.chains[0].instructions[0].instr_args
    assert isinstance(call, schema.KernelCall)
    call.args[0] = len(plan.values)


def kernel_beyond(plan: schema.ExecutionPlan) -> None:
    call = plan.chains[0].instructions[0].instr_args
    assert isinstance(call, schema.KernelCall)
    call.op_index = -1


def output_beyond(plan: schema.ExecutionPlan) -> None:
    plan.outputs[0] = 10**6


def other_method(plan: schema.ExecutionPlan) -> None:
    plan.name = "backward"


SPOILERS: list[Spoil] = [
    random_kernel,
    unwritten_memory,
    custom_kernel,
    delegate,
    call_of_a_delegate,
    external_data,
    jump_back,
    jump_in_place,
    too_many_dimensions,
    too_many_elements,
    negative_size,
    large_plan,
    negative_plan,
    argument_beyond,
    kernel_beyond,
    output_beyond,
    other_method,
]


def written(spoil: Spoil) -> bytes:
    """A program with a change."""
    file = _deserialize_pte_binary(SMALL)
    spoil(file.program.execution_plan[0])
    return bytes(_serialize_pte_binary(file))


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: "/".join(path.parts[-3:]))
def test_what_the_exporter_writes_is_admitted(path) -> None:
    rules.check(path.read_bytes(), path.stem)


def test_what_is_only_written_again_is_admitted() -> None:
    rules.check(written(lambda plan: None), "predict")


@pytest.mark.parametrize("spoil", SPOILERS)
def test_what_it_does_not_write_is_refused(spoil: Spoil) -> None:
    with pytest.raises(InvalidBundle, match="program predict holds"):
        rules.check(written(spoil), "predict")


def test_two_methods_are_refused() -> None:
    file = _deserialize_pte_binary(SMALL)
    file.program.execution_plan.append(replace(file.program.execution_plan[0], name="other"))
    with pytest.raises(InvalidBundle, match="methods"):
        rules.check(bytes(_serialize_pte_binary(file)), "predict")


def test_data_beyond_the_end_are_refused() -> None:
    base = struct.unpack_from("<Q", GOOD, 24)[0]
    for moved in (base + 10**6, 2**63):
        with pytest.raises(InvalidBundle, match="beyond its end"):
            rules.check(GOOD[:24] + struct.pack("<Q", moved) + GOOD[32:], "train_step")


@pytest.mark.parametrize("body", [b"", b"no program", GOOD[:7], GOOD[: len(GOOD) // 2], b"\xff" * 100, bytes(100)])
def test_what_is_no_pte_file_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidBundle):
        rules.check(body, "predict")


def short_header() -> bytes:
    """A root table without fields in a file that ends within the header that it says it has."""
    body = bytearray(30)
    struct.pack_into("<I4s4si", body, 0, 12, rules.IDENTIFIER, b"eh00", -4)
    struct.pack_into("<H", body, 16, 4)
    return bytes(body)


def test_a_file_that_ends_within_its_header_is_refused() -> None:
    with pytest.raises(InvalidBundle, match="other methods than one"):
        rules.check(short_header(), "predict")


@given(st.data())
def test_whatever_the_bytes_only_our_errors_come_out(data: st.DataObject) -> None:
    program = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 6))):
        program[data.draw(st.integers(0, len(program) - 1))] = data.draw(st.integers(0, 255))
    try:
        rules.check(bytes(program), "p")
    except InvalidBundle:
        return

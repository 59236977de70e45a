"""A loop in a .pte file is admitted where its instructions show that it ends, and with no change that hides it."""

from collections.abc import Callable

import pytest
import torch
from executorch.exir import schema
from executorch.exir._serialize import _deserialize_pte_binary, _serialize_pte_binary

from fedrela.core.errors import InvalidBundle
from fedrela.core.pte_files import rules
from fedrela.core.pte_files.loops import Call, Jump, executed
from fedrela.export.executorch_programs import forms
from fedrela.export.executorch_programs.program import lower
from fedrela.export.layers import recurrence_operators as operators
from fedrela.export.tracing.trace import trace

COUNTER, ONE, LENGTH, DONE, PLACE, LAST, TENSOR = range(7)
NUMBERS = {COUNTER: 0, ONE: 1, LENGTH: 10, PLACE: 0, LAST: 9}
SUB, ADD, GE = (f"executorch_prim::{name}.Scalar" for name in ("sub", "add", "ge"))
Instructions = list[Call | Jump]
LOOP: Instructions = [
    Call("aten::exp.out", (TENSOR, TENSOR)),
    Call(SUB, (COUNTER, COUNTER, COUNTER)),
    Call(SUB, (LAST, COUNTER, PLACE)),
    Call("aten::select_copy.int_out", (TENSOR, LAST, COUNTER, TENSOR, TENSOR)),
    Call("executorch_prim::et_copy_index.tensor", (TENSOR, TENSOR, PLACE)),
    Call(ADD, (COUNTER, ONE, COUNTER)),
    Call(GE, (COUNTER, LENGTH, DONE)),
    Jump(DONE, 2),
    Call("aten::exp.out", (TENSOR, TENSOR)),
]


def changed(at: int, item: Call | Jump) -> Instructions:
    return [*LOOP[:at], item, *LOOP[at + 1 :]]


def inserted(at: int, item: Call | Jump) -> Instructions:
    """What comes behind moves on, and the jump with it."""
    moved = [Jump(DONE, 3) if isinstance(other, Jump) and at <= 1 else other for other in LOOP]
    return [*moved[:at], item, *moved[at:]]


def test_instructions_are_counted_as_often_as_they_run() -> None:
    assert executed(LOOP, NUMBERS) == len(LOOP) + 9 * 6
    assert executed(LOOP, NUMBERS | {LENGTH: 1}) == len(LOOP)
    assert executed(LOOP[:1], NUMBERS) == 1
    assert executed([Jump(DONE, 2), *LOOP[:1]], NUMBERS) == 2


def test_loops_one_after_another_add_up() -> None:
    values = {COUNTER: 10, ONE: 11, LENGTH: 12, DONE: 13}
    later: Instructions = [
        Call(SUB, (10, 10, 10)),
        Call("aten::exp.out", (TENSOR, TENSOR)),
        Call(ADD, (10, 11, 10)),
        Call(GE, (10, 12, 13)),
        Jump(13, len(LOOP) + 1),
    ]
    numbers = NUMBERS | {values[COUNTER]: 0, values[ONE]: 1, values[LENGTH]: 3}
    assert executed([*LOOP, *later], numbers) == len(LOOP) + 9 * 6 + len(later) + 2 * 4


HIDDEN: dict[str, Instructions] = {
    "no reset": changed(1, Call("aten::exp.out", (TENSOR, TENSOR))),
    "a reset to something else": changed(1, Call(SUB, (COUNTER, ONE, COUNTER))),
    "no step": changed(5, Call("aten::exp.out", (TENSOR, TENSOR))),
    "a step back": changed(5, Call(SUB, (COUNTER, ONE, COUNTER))),
    "a step of another value": changed(5, Call(ADD, (PLACE, ONE, COUNTER))),
    "a step by its own value": changed(5, Call(ADD, (COUNTER, COUNTER, COUNTER))),
    "another comparison": changed(6, Call("executorch_prim::eq.Scalar", (COUNTER, LENGTH, DONE))),
    "a comparison with itself": changed(6, Call(GE, (COUNTER, COUNTER, DONE))),
    "a comparison the other way round": changed(6, Call(GE, (LENGTH, COUNTER, DONE))),
    "another condition": changed(7, Jump(TENSOR, 2)),
    "the reset is in the loop": changed(7, Jump(DONE, 1)),
    "a jump to itself": changed(7, Jump(DONE, 7)),
    "a jump to before the first": changed(7, Jump(DONE, -1)),
    "the counter is written in the loop": changed(3, Call("aten::sym_size.int", (TENSOR, LAST, COUNTER))),
    "the counter is an index's result": changed(2, Call(SUB, (LAST, PLACE, COUNTER))),
    "the counter is index and result": changed(2, Call(SUB, (LAST, COUNTER, COUNTER))),
    "the length grows": changed(3, Call(ADD, (LENGTH, ONE, LENGTH))),
    "the length is written before the loop": inserted(0, Call("aten::sym_size.int", (TENSOR, LAST, LENGTH))),
    "the step is written behind the loop": inserted(9, Call("aten::sym_size.int", (TENSOR, LAST, ONE))),
    "the condition is written in the loop": changed(3, Call(GE, (PLACE, LAST, DONE))),
    "a value is moved over the length": changed(3, Call("", (TENSOR, LENGTH))),
    "a jump forward into the loop": changed(0, Jump(TENSOR, 3)),
    "a jump out of the loop": changed(3, Jump(TENSOR, 8)),
    "a loop in the loop": changed(4, Jump(DONE, 3)),
    "a loop around the loop": [
        Call(SUB, (10, 10, 10)),
        *inserted(0, Call("aten::exp.out", (TENSOR, TENSOR)))[1:],
        Call(ADD, (10, 11, 10)),
        Call(GE, (10, 12, 13)),
        Jump(13, 1),
    ],
}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_loop_that_may_never_end_is_found(name: str) -> None:
    assert executed(HIDDEN[name], NUMBERS | {10: 0, 11: 1, 12: 3}) is None


@pytest.mark.parametrize("missing", [{COUNTER: None}, {ONE: 0}, {ONE: -1}, {LENGTH: 0}, {LENGTH: None}])
def test_numbers_that_a_file_does_not_fix_are_none(missing: dict[int, int | None]) -> None:
    numbers = {key: value for key, value in (NUMBERS | missing).items() if value is not None}
    assert executed(LOOP, numbers) is None


Spoil = Callable[[schema.ExecutionPlan, schema.KernelCall, schema.KernelCall], None]


def no_step(plan: schema.ExecutionPlan, step: schema.KernelCall, compare: schema.KernelCall) -> None:
    plan.values[step.args[1]].val = schema.Int(0)


def given_length(plan: schema.ExecutionPlan, step: schema.KernelCall, compare: schema.KernelCall) -> None:
    plan.inputs.append(compare.args[1])


def long(plan: schema.ExecutionPlan, step: schema.KernelCall, compare: schema.KernelCall) -> None:
    plan.values[compare.args[1]].val = schema.Int(2**62)


def other_kernel(plan: schema.ExecutionPlan, step: schema.KernelCall, compare: schema.KernelCall) -> None:
    plan.operators[compare.op_index] = schema.Operator("executorch_prim::gt", "Scalar")


def moved(plan: schema.ExecutionPlan, step: schema.KernelCall, compare: schema.KernelCall) -> None:
    move = schema.MoveCall(move_from=step.args[1], move_to=compare.args[1])
    plan.chains[0].instructions.append(schema.Instruction(move))


def exported() -> bytes:
    """A program with a loop, as it is exported."""
    shapes: tuple[tuple[int | str, ...], ...] = ((5, "B", 2), ("B", 2), (2, 2))

    def function(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (operators.elman(*given, False),)

    examples = [torch.ones([3 if size == "B" else int(size) for size in shape]) for shape in shapes]
    return lower(trace(function, examples, shapes, table=forms.table()), max_batch=4)


@pytest.fixture(scope="module")
def body() -> bytes:
    return exported()


SPOILS: dict[Spoil, str] = {
    no_step: "a jump back",
    given_length: "a jump back",
    other_kernel: "a jump back",
    moved: "a jump back",
    long: "more instructions than any program needs",
}


def spoiled(body: bytes, spoil: Spoil) -> bytes:
    """That program with a change of its loop."""
    file = _deserialize_pte_binary(body)
    plan = file.program.execution_plan[0]
    calls = [item.instr_args for item in plan.chains[0].instructions]
    (jump,) = (at for at, call in enumerate(calls) if isinstance(call, schema.JumpFalseCall))
    step, compare = calls[jump - 2 : jump]
    assert isinstance(step, schema.KernelCall)
    assert isinstance(compare, schema.KernelCall)
    spoil(plan, step, compare)
    return bytes(_serialize_pte_binary(file))


def test_an_exported_loop_is_admitted(body: bytes) -> None:
    rules.check(body, "predict")


@pytest.mark.parametrize(("spoil", "found"), SPOILS.items())
def test_an_exported_loop_with_a_change_is_refused(body: bytes, spoil: Spoil, found: str) -> None:
    with pytest.raises(InvalidBundle, match=f"program predict holds {found}"):
        rules.check(spoiled(body, spoil), "predict")

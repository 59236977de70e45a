"""A loop as the instructions of a .pte file: one step's, and a jump back that ends after as many steps as there are.

ExecuTorch's own emitter writes a scan that fails for any batch but the largest (it copies the state by `copy_`, which
doesn't take its source's shape, and its outputs begin in the largest one), runs forward alone, and compares a counter
that it trusts to be 0. Here

    counter = counter - counter
 -> place = last - counter                 # or the counter itself, if the first step comes first
    own_i = select_copy(steps_i, 0, place) # of each value that has steps
    (one step)
    carried_i = alias_copy(new_i)
    et_copy_index(outputs_i, given_i, place)
    counter = counter + one
    done = counter >= length
    jump back unless done

so that a device can tell from the instructions alone that and when a program ends (`fedrela.core.pte_files.loops`).

    with loops():
        body = edge.to_executorch(config).buffer
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from executorch.exir.emit._emitter import _Emitter
from executorch.exir.schema import Bool, EValue, Instruction, Int, JumpFalseCall, KernelCall

from fedrela.export.executorch_programs.loops import REVERSE


@contextmanager
def loops() -> Iterator[None]:
    """Inside, ExecuTorch's emitter writes scans as told above."""
    before = _Emitter._emit_scan
    _Emitter._emit_scan = _emit
    try:
        yield
    finally:
        _Emitter._emit_scan = before


def _emit(emitter: Any, arguments: Sequence[Any], outputs: Sequence[Any]) -> Any:
    """Write a scan's instructions, whose values `outputs` are: what is carried from the last step, what each gave."""
    step, carried, own, shared = arguments
    last, stacked = outputs[: len(carried)], outputs[len(carried) :]
    length = emitter.node.args[2][0].meta["val"].shape[0]
    for value, start in zip(last, carried, strict=True):
        _copy(emitter, start, value)
    reverse, examples = emitter.node.meta[REVERSE], emitter.node.meta["val"][len(carried) :]
    written = [_alias(emitter, value) for value in stacked] if reverse else stacked
    for values in (stacked, written) if reverse else (stacked,):
        for value, example in zip(values, examples, strict=True):
            _size(emitter, value, example.shape, own[0])
    counter, one, count, done = (_value(emitter, value) for value in (0, 1, length, False))
    _call(emitter, "executorch_prim::sub", "Scalar", counter, counter, counter)
    first = emitter.instruction_start_offset + len(emitter.chain.instructions)
    place = counter
    if reverse:
        place = _value(emitter, 0)
        _call(emitter, "executorch_prim::sub", "Scalar", _value(emitter, length - 1), counter, place)
    new, given = _step(emitter, step, last, own, shared, place)
    for value, result in zip(last, new, strict=True):
        _copy(emitter, result, value)
    for value, result in zip(written, given, strict=True):
        _call(emitter, "executorch_prim::et_copy_index", "tensor", value, result, place)
    _call(emitter, "executorch_prim::add", "Scalar", counter, one, counter)
    _call(emitter, "executorch_prim::ge", "Scalar", counter, count, done)
    emitter.chain.instructions.append(Instruction(JumpFalseCall(done.id, first)))
    return outputs


def _step(
    emitter: Any, step: Any, carried: Sequence[Any], own: Sequence[Any], shared: Sequence[Any], place: Any
) -> tuple[list[Any], list[Any]]:
    """One step's instructions: new values of what is carried, and what it gives."""
    selects = [_select(emitter, value, place) for value in own]
    inner = _Emitter(
        step,
        emitter.emitter_state,
        emitter.program_state,
        instruction_start_offset=emitter.instruction_start_offset + len(emitter.chain.instructions),
        binding_input_values=[*carried, *[-1] * len(own), *shared],
    )
    inner.run()
    emitter._merge_chain(inner.chain)
    for value, select in zip(inner.binding_input_values[len(carried) :], selects, strict=False):
        select.args[-2:] = [value.id, value.id]
    results = inner.concrete_output_ids
    return results[: len(carried)], results[len(carried) :]


def _select(emitter: Any, steps: Any, place: Any) -> KernelCall:
    """One step of a value; whereto is known once the step's own values are."""
    return _call(emitter, "aten::select_copy", "int_out", steps, _value(emitter, 0), place, place, place)


def _copy(emitter: Any, source: Any, target: Any) -> None:
    """A kernel that gives its result its source's shape."""
    _call(emitter, "aten::alias_copy", "out", source, target, target)


def _alias(emitter: Any, value: Any) -> Any:
    """Another value in the same memory: the kernel that writes a step may cut its target off behind that step."""
    return emitter._emit_evalue(EValue(replace(value.tensor)))


def _size(emitter: Any, value: Any, shape: Sequence[Any], steps: Any) -> None:
    """Zeros in the shape of all steps, whose batch is that of `steps` (T, B, ...)."""
    sizes = list(shape)
    if not isinstance(shape[1], int):
        sizes[1] = _value(emitter, 0)
        _call(emitter, "aten::sym_size", "int", steps, _value(emitter, 1), sizes[1])
    listed = emitter._emit_evalue(emitter._emit_int_list(sizes))
    _call(emitter, "aten::zeros", "out", listed, value, value)


def _value(emitter: Any, number: int | bool) -> Any:
    """A value of its own, so that no other instruction has it."""
    return emitter._emit_evalue(EValue(Bool(number) if isinstance(number, bool) else Int(number)))


def _call(emitter: Any, name: str, overload: str, *arguments: Any) -> KernelCall:
    index, _ = emitter._get_operator(name=name, overload=overload)
    call = KernelCall(index, [argument.id for argument in arguments])
    emitter.chain.instructions.append(Instruction(call))
    return call

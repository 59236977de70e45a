"""What a .pte file may hold, looked at before ExecuTorch reads it: kernels that the exporter emits, and their data.

As with ONNX files (`fedrela.core.onnx_files.rules`), nothing may reach out of the file: no tensor may lie elsewhere, no
delegate may run code of its own, no kernel may be one that isn't listed, and no program may jump back but in a loop
that is seen to end (`fedrela.core.pte_files.loops`).

    >>> check(b"", "predict")
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidBundle: the program is not a .pte file; export the model again
"""

import math
import struct

from fedrela.core.errors import InvalidBundle
from fedrela.core.pte_files import flatbuffer, loops
from fedrela.core.pte_files.flatbuffer import Table
from fedrela.core.pte_files.kernels import KERNELS
from fedrela.core.tensors import LARGEST_DIMENSION, MOST_DIMENSIONS, MOST_ELEMENTS

MOST_KERNELS = 1000
MOST_VALUES = 200_000
MOST_INSTRUCTIONS = 200_000  # each as often as it runs
MOST_PLANNED_BYTES = 2**33  # of memory, for the largest batch
IDENTIFIER = b"ET12"
_EXTENDED = b"eh00"  # of the header that says where segments begin
_EXTENDED_END = 32  # its last 8 bytes are that place

# Fields by number, of program.fbs.
_PLANS, _BUFFERS, _DELEGATE_DATA, _SEGMENTS, _MUTABLE, _NAMED = 1, 2, 3, 4, 6, 7  # of Program
_NAME, _VALUES, _INPUTS, _OUTPUTS, _CHAINS = 0, 2, 3, 4, 5  # of ExecutionPlan
_OPERATORS, _DELEGATES, _SIZES, _DEVICES = 6, 7, 8, 9
_INT, _TENSOR, _TENSOR_LIST, _OPTIONAL_LIST = 2, 5, 10, 11  # kinds of values
_CALL, _MOVE, _JUMP, _FREE = 1, 3, 4, 5  # kinds of instructions; 2 calls a delegate


def check(program: bytes, name: str) -> None:
    """Raise InvalidBundle, naming what was found, unless `program` is a .pte file that any device may load."""
    _Rules(name, program).program()


class _Rules:
    """One program under inspection."""

    def __init__(self, name: str, body: bytes) -> None:
        self._name, self._body = name, body

    def program(self) -> None:
        root = flatbuffer.root(self._body)
        self._require(self._body[4:8] == IDENTIFIER, "another format's mark")
        for field, what in (
            (_BUFFERS, "data of an old form"),
            (_DELEGATE_DATA, "a delegate's code"),
            (_MUTABLE, "state of its own"),
            (_NAMED, "data under names, as files beside it have"),
        ):
            self._require(root.vector(field, 4).count == 0, what)
        self._segments(root)
        plans = self._some(root, _PLANS, 1, "methods")
        self._require(len(plans) == 1 and plans[0].text(_NAME) == "forward", "other methods than one")
        self._plan(plans[0])

    def _segments(self, root: Table) -> None:
        """All data lie in this file."""
        has_header = self._body[8:12] == _EXTENDED and len(self._body) >= _EXTENDED_END
        base = struct.unpack_from("<Q", self._body, _EXTENDED_END - 8)[0] if has_header else 0
        for segment in self._some(root, _SEGMENTS, 16, "segments"):
            offset, size = segment.number(0, "Q"), segment.number(1, "Q")
            self._require(size == 0 or (base > 0 and base + offset + size <= len(self._body)), "data beyond its end")

    def _plan(self, plan: Table) -> None:
        self._require(plan.vector(_DELEGATES, 4).count == 0, "a delegate")
        self._require(plan.vector(_DEVICES, 4).count == 0, "another processor's memory")
        sizes = plan.numbers(_SIZES, "q")
        self._require(min(sizes, default=0) >= 0 and sum(sizes) <= MOST_PLANNED_BYTES, "too large a plan of memory")
        kernels = [self._kernel(kernel) for kernel in self._some(plan, _OPERATORS, MOST_KERNELS, "kernels")]
        values = self._some(plan, _VALUES, MOST_VALUES, "values")
        for value in values:
            self._value(value, len(values))
        self._within(plan.numbers(_INPUTS, "i"), len(values))
        self._within(plan.numbers(_OUTPUTS, "i"), len(values))
        given = set(plan.numbers(_INPUTS, "i"))
        numbers = {at: _number(value) for at, value in enumerate(values) if _is_number(value) and at not in given}
        for chain in self._some(plan, _CHAINS, 1, "chains"):
            found = self._some(chain, 2, MOST_INSTRUCTIONS, "instructions")
            count = loops.executed([self._instruction(item, kernels, len(values)) for item in found], numbers)
            self._require(count is not None, "a jump back")
            self._require((count or 0) <= MOST_INSTRUCTIONS, "more instructions than any program needs")

    def _kernel(self, kernel: Table) -> str:
        named = f"{kernel.text(0)}.{kernel.text(1)}".removesuffix(".")
        self._require(named in KERNELS, f"the kernel {named[:80]}")
        return named

    def _value(self, value: Table, values: int) -> None:
        kind, content = value.number(0, "B"), value.table(1)
        self._require(kind <= _OPTIONAL_LIST, "a value of an unknown kind")
        if kind in (_TENSOR_LIST, _OPTIONAL_LIST):
            self._within(content.numbers(0, "i") if content else (), values, least=-1 if kind == _OPTIONAL_LIST else 0)
        if kind != _TENSOR:
            return
        self._require(content is not None, "a tensor without a description")
        assert content is not None
        shape = content.numbers(2, "i")
        fits = len(shape) <= MOST_DIMENSIONS and all(0 <= size <= LARGEST_DIMENSION for size in shape)
        self._require(fits and math.prod(shape) <= MOST_ELEMENTS, "a tensor that is too large")
        self._require(content.number(1, "i") == 0, "a tensor that begins elsewhere")
        more = content.table(9)
        outside = more is not None and (
            more.number(2, "b") != 0 or more.number(3, "b") != 0 or more.number(0, "Q") != 0
        )
        self._require(not outside, "a tensor whose data are in another file")

    def _instruction(self, instruction: Table, kernels: list[str], values: int) -> loops.Call | loops.Jump:
        kind, content = instruction.number(0, "B"), instruction.table(1)
        self._require(kind in (_CALL, _MOVE, _JUMP, _FREE) and content is not None, "a call of a delegate")
        assert content is not None
        first, named = content.number(0, "i"), ""
        if kind == _CALL:
            self._within((first,), len(kernels))
            named, used = kernels[first], content.numbers(1, "i")
        else:
            used = (first, content.number(1, "i")) if kind == _MOVE else (first,)
        self._within(used, values)
        return loops.Jump(first, content.number(1, "i")) if kind == _JUMP else loops.Call(named, used)

    def _some(self, table: Table, field: int, most: int, what: str) -> list[Table]:
        """The tables of a vector that isn't longer than any program needs."""
        self._require(table.vector(field, 4).count <= most, f"more {what} than any program needs")
        return list(table.tables(field))

    def _within(self, indices: tuple[int, ...], count: int, least: int = 0) -> None:
        self._require(all(least <= index < count for index in indices), "a reference to nothing")

    def _require(self, condition: bool, found: str) -> None:
        if not condition:
            raise InvalidBundle(f"program {self._name} holds {found}", remedy="export the model again")


def _is_number(value: Table) -> bool:
    return value.number(0, "B") == _INT


def _number(value: Table) -> int:
    content = value.table(1)
    return content.number(0, "q") if content else 0

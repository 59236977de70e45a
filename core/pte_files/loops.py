"""Loops of a .pte file's instructions: only those that anybody can see end, and only so many steps in all.

A jump back is admitted where a counter of its own leads to it, in these very instructions:

        counter = counter - counter
    ->  ...                              # a step
        counter = counter + one
        done = counter >= length
        back to -> unless done

`one` is 1 and `length` a whole number in the file. No other instruction has any of the four values, but for reading the
counter as an index; loops lie apart from each other, and a program with a loop has no other jumps.

    >>> reset, step, compare = Call(_SUB, (0, 0, 0)), Call(_ADD, (0, 1, 0)), Call(_COMPARE, (0, 2, 3))
    >>> executed([reset, Call("aten::exp.out", (4, 5)), step, compare, Jump(3, 1)], {0: 0, 1: 1, 2: 10})
    41
    >>> executed([reset, Call("aten::exp.out", (4, 5)), step, Jump(3, 1)], {0: 0, 1: 1, 2: 10})
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise

_SUB, _ADD, _COMPARE = (f"executorch_prim::{name}.Scalar" for name in ("sub", "add", "ge"))
_AS_INDEX = {"aten::select_copy.int_out": 2, "executorch_prim::et_copy_index.tensor": 2, _SUB: 1}  # argument read


@dataclass(frozen=True)
class Call:
    """A kernel by its name, "" for an instruction that calls none; which values it has."""

    kernel: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Jump:
    """To another instruction, unless a value is true."""

    unless: int
    to: int


@dataclass(frozen=True)
class _Loop:
    reset: int  # places of instructions
    first: int
    jump: int
    counter: int  # values
    fixed: frozenset[int]
    length: int


def executed(instructions: Sequence[Call | Jump], numbers: Mapping[int, int]) -> int | None:
    """How many instructions run at most; None where that can't be told.

    numbers: the whole numbers among the program's values, but for those that a caller gives it.
    """
    jumps = {at: item for at, item in enumerate(instructions) if isinstance(item, Jump)}
    if all(jump.to > at for at, jump in jumps.items()):
        return len(instructions)
    found = [_loop(instructions, at, jump, numbers) for at, jump in jumps.items()]
    loops = [loop for loop in found if loop]
    apart = all(later.reset > earlier.jump for earlier, later in pairwise(loops))
    if len(loops) < len(found) or not apart or not _alone(loops, instructions):
        return None
    return len(instructions) + sum((loop.length - 1) * (loop.jump - loop.first + 1) for loop in loops)


def _loop(instructions: Sequence[Call | Jump], at: int, jump: Jump, numbers: Mapping[int, int]) -> _Loop | None:
    if not 1 <= jump.to <= at - 2:
        return None
    reset, step, compare = (instructions[place] for place in (jump.to - 1, at - 2, at - 1))
    if not (isinstance(compare, Call) and compare.kernel == _COMPARE and len(compare.values) == 3):
        return None
    counter, length, done = compare.values
    one = step.values[1] if isinstance(step, Call) and len(step.values) == 3 else -1
    known = reset == Call(_SUB, (counter,) * 3) and step == Call(_ADD, (counter, one, counter)) and done == jump.unless
    numbered = counter in numbers and numbers.get(one) == 1 and numbers.get(length, 0) >= 1 and done not in numbers
    if not known or not numbered or len({counter, one, length}) < 3:
        return None
    return _Loop(jump.to - 1, jump.to, at, counter, frozenset((one, length, done)), numbers[length])


def _alone(loops: Sequence[_Loop], instructions: Sequence[Call | Jump]) -> bool:
    """Whether no instruction could change when another's loop ends. In one pass: a stranger may write any number."""
    counters = {loop.counter for loop in loops}
    fixed = frozenset[int]().union(*(loop.fixed for loop in loops))
    if len(counters | fixed) < 4 * len(loops):  # two loops share a value
        return False
    own = {at for loop in loops for at in (loop.reset, loop.jump - 2, loop.jump - 1, loop.jump)}
    return all(_leaves(counters, fixed, item) for at, item in enumerate(instructions) if at not in own)


def _leaves(counters: Set[int], fixed: Set[int], item: Call | Jump) -> bool:
    """Whether an instruction has none of the values, but for reading one counter as an index, once."""
    if isinstance(item, Jump):
        return item.unless not in counters and item.unless not in fixed
    places = [place for place, value in enumerate(item.values) if value in counters]
    return fixed.isdisjoint(item.values) and (not places or places == [_AS_INDEX.get(item.kernel, -1)])

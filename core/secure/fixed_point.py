"""An update as whole numbers of 32 bits whose sum over a group can't overflow, and the sum's way back.

A vector is blocks of the update (parameters, and buffers such as BatchNorm's statistics), then the extras. With g the
binary logarithm of the largest group, rounded up, a block clipped to the L2 norm C has the step s = C * 2^(g - 30), and

    v = floor(w * x / s + u)        in float64, left to right; u uniform in [0, 1), so that v * s is unbiased

A sum of n members lies below 2^30 + n, so one bit is left. Each extra has a bound and a step of its own (`extras`).

    >>> layout = Layout((Block(2, clip_norm=8.0),), classes=0, largest_group=5)
    >>> vector = encode(layout, [np.float32([3, -4])], Extras(weight=1.0), np.zeros(2, np.float32))
    >>> decode(layout, vector, members=1).blocks[0].tolist()
    [3.0, -4.0]
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidInput, InvalidTensors

SUM_BITS = 30  # a sum's size; of the 31 beside the sign, one is left
LARGEST_COUNT = 4095  # of anything that is counted
LARGEST_SAMPLE_LOSS = 10.0
EVALUATED = 32  # samples of an evaluation, drawn anew each time
_SLACK = 1e-9  # relative, of norms summed in another order


@dataclass(frozen=True)
class Block:
    """So many elements of an update that are clipped together, to this L2 norm."""

    size: int
    clip_norm: float


@dataclass(frozen=True)
class Layout:
    """What a vector holds. `classes`: of the histogram among the extras. `largest_group`: members of a sum at most."""

    blocks: tuple[Block, ...]
    classes: int
    largest_group: int

    @property
    def size(self) -> int:
        """Words of a vector."""
        return sum(block.size for block in self.blocks) + len(extra_kinds(self))

    @property
    def group_bits(self) -> int:
        """g: the binary logarithm of the largest group, rounded up."""
        return (self.largest_group - 1).bit_length()

    def step(self, bound: float) -> float:
        """The value of one unit, for values of up to `bound`: exact, as it is `bound` times a power of two."""
        return math.ldexp(bound, self.group_bits - SUM_BITS)


@dataclass(frozen=True)
class Extras:
    """What travels beside an update, and is neither weighted nor clipped with it. What isn't used is zero.

    `weight`: of this update in the mean, 0 to 1. `clipped`: 1 where the norm of the first block, the parameters, was
    above its bound. The evaluation is over `EVALUATED` samples or none. `histogram`: how many samples of each class;
    empty: all zero.
    """

    weight: float
    clipped: int = 0
    eval_loss: float = 0.0
    eval_correct: int = 0
    eval_examples: int = 0
    histogram: tuple[int, ...] = ()


class Kind(NamedTuple):
    """An extra's largest value, and what one unit of it stands for."""

    bound: float
    step: float


@dataclass(frozen=True)
class Total:
    """A decoded sum: per block the sum of weighted updates (float64), and the sums of the extras."""

    blocks: tuple[NDArray[np.float64], ...]
    extras: Extras


def extra_kinds(layout: Layout) -> tuple[Kind, ...]:
    """The extras in their order: weight, clipped, loss, correct and examples of the evaluation, then the histogram."""
    loss = LARGEST_SAMPLE_LOSS * EVALUATED
    counted = Kind(LARGEST_COUNT, 1.0)
    return (
        Kind(1.0, layout.step(1.0)),
        Kind(1.0, 1.0),
        Kind(loss, layout.step(loss)),
        Kind(EVALUATED, 1.0),
        Kind(EVALUATED, 1.0),
        *(counted for _ in range(layout.classes)),
    )


def clip_factor(block: Block, values: NDArray[np.float32]) -> float:
    """By what a block is multiplied to keep its norm within bounds: at most 1. The norm is summed in float64."""
    norm = math.sqrt(float(np.sum(np.square(values, dtype=np.float64))))
    return min(1.0, block.clip_norm / norm) if norm > 0 else 1.0


def encode(
    layout: Layout, blocks: Sequence[NDArray[np.float32]], extras: Extras, uniforms: NDArray[np.float32]
) -> NDArray[np.int32]:
    """A device's vector, (layout.size,). `uniforms`: one for each element of the blocks, in [0, 1).

    Each block is clipped first; `extras.weight` is w, and `extras.clipped` is set here. Extras beyond their bounds are
    clamped. Raises InvalidTensors where sizes differ from the layout's or a value isn't finite.
    """
    _check(layout, blocks, uniforms)
    weight = min(max(extras.weight, 0.0), 1.0)
    vector = np.empty(layout.size, np.int32)
    factors = [clip_factor(block, values) for block, values in zip(layout.blocks, blocks, strict=True)]
    start = 0
    for block, values, factor in zip(layout.blocks, blocks, factors, strict=True):
        end = start + block.size
        scaled = weight * (values.astype(np.float64) * factor) / layout.step(block.clip_norm)
        vector[start:end] = np.floor(scaled + uniforms[start:end])
        start = end
    vector[start:] = _extra_words(layout, extras, weight, int(factors[0] < 1.0))
    return vector


def decode(layout: Layout, total: NDArray[np.int32], *, members: int) -> Total:
    """A group's sum, from the words that are left when all pads are off.

    Raises InvalidInput ("sum-out-of-bounds" for the caller) where a block's norm or an extra is beyond what honest
    members can reach: a member lied, or a pad is left.
    """
    offsets = np.cumsum([0, *(block.size for block in layout.blocks)])
    blocks = tuple(
        total[start:end].astype(np.float64) * layout.step(block.clip_norm)
        for (start, end), block in zip(pairwise(offsets), layout.blocks, strict=True)
    )
    words = total[offsets[-1] :]
    for block, values in zip(layout.blocks, blocks, strict=True):
        rounding = math.sqrt(block.size) * layout.step(block.clip_norm)
        largest = members * (block.clip_norm * (1 + _SLACK) + rounding)
        if math.sqrt(float(np.sum(np.square(values)))) > largest:
            raise _out_of_bounds("norm")
    for word, kind in zip(words, extra_kinds(layout), strict=True):
        if not 0 <= word * kind.step <= members * kind.bound * (1 + _SLACK):
            raise _out_of_bounds("count")
    extras = _from_extra_words(layout, words)
    if not extras.weight:
        raise _out_of_bounds("weight")
    return Total(blocks, extras)


def _check(layout: Layout, blocks: Sequence[NDArray[np.float32]], uniforms: NDArray[np.float32]) -> None:
    sizes = [block.size for block in layout.blocks]
    if [values.size for values in blocks] != sizes or uniforms.size != sum(sizes):
        raise InvalidTensors("an update doesn't fit its layout", remedy="flatten the manifest's tensors in order")
    if not all(np.isfinite(values).all() for values in blocks):
        raise InvalidTensors("an update holds a value that is not finite", remedy="lower the learning rate")


def _extra_words(layout: Layout, extras: Extras, weight: float, clipped: int) -> list[int]:
    """Nearest units, halves up, of values clamped to their bounds."""
    histogram = extras.histogram or (0,) * layout.classes
    if len(histogram) != layout.classes:
        raise InvalidTensors("a histogram has other classes than the layout", remedy="count every class")
    values = (weight, clipped, extras.eval_loss, extras.eval_correct, extras.eval_examples, *histogram)
    return [
        math.floor(min(max(value, 0.0), kind.bound) / kind.step + 0.5)
        for value, kind in zip(values, extra_kinds(layout), strict=True)
    ]


def _from_extra_words(layout: Layout, words: NDArray[np.int32]) -> Extras:
    weight, clipped, loss, correct, examples, *histogram = (
        int(word) * kind.step for word, kind in zip(words, extra_kinds(layout), strict=True)
    )
    return Extras(weight, int(clipped), loss, int(correct), int(examples), tuple(int(count) for count in histogram))


def _out_of_bounds(what: str) -> InvalidInput:
    return InvalidInput(
        f"a group's sum has a {what} that no honest members reach", remedy="leave the group out, and spread its members"
    )

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
from fedrela.core.secure.messages import SMALLEST_GROUP

SUM_BITS = 30  # a sum's size; of the 31 beside the sign, one is left
LARGEST_COUNT = 4095  # of anything that is counted
LARGEST_SAMPLE_LOSS = 10.0
EVALUATED = 32  # samples of an evaluation, drawn anew each time
FEWEST_EVALUATIONS = SMALLEST_GROUP  # in a sum that counts: as many as the updates of the smallest sum
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


def decode(layout: Layout, total: NDArray[np.int32], *, members: int, least_weight: float = 0.0) -> Total:
    """A group's sum, from the words (layout.size,) that are left when all pads are off.

    `least_weight`: the smallest that an honest member sends, 0 to 1; with 1 all weigh the same, and the sum of weights
    is `members` or wrong. Raises InvalidInput ("sum-out-of-bounds" for the caller) where an extra, or the norm of a
    block for these weights, is beyond what honest members can reach: a member lied, or a pad is left.
    """
    offsets = np.cumsum([0, *(block.size for block in layout.blocks)])
    blocks = tuple(
        total[start:end].astype(np.float64) * layout.step(block.clip_norm)
        for (start, end), block in zip(pairwise(offsets), layout.blocks, strict=True)
    )
    words, kinds = total[offsets[-1] :], extra_kinds(layout)
    for word, kind in zip(words, kinds, strict=True):
        # Without slack: a bound is a whole number of units, and no member's word is above it.
        if not 0 <= word * kind.step <= members * kind.bound:
            raise _out_of_bounds("count")
    if words[0] < max(members * _nearest_unit(least_weight, kinds[0]), 1):  # rounding keeps the order of weights
        raise _out_of_bounds("weight")
    extras = _from_extra_words(layout, words)
    for block, values in zip(layout.blocks, blocks, strict=True):
        if math.sqrt(float(np.sum(np.square(values)))) > _largest_norm(layout, block, members, extras.weight):
            raise _out_of_bounds("norm")
    return Total(blocks, extras)


def counts_evaluation(extras: Extras, members: int) -> bool:
    """Whether a sum's evaluation is taken: one that `members` can have together, and of so many that none stands alone.

    Whether a device evaluates is up to its owner: where it is the only one, the sum is its own evaluation.
    """
    evaluations, rest = divmod(extras.eval_examples, EVALUATED)
    return (
        rest == 0
        and FEWEST_EVALUATIONS <= evaluations <= members
        and 0 <= extras.eval_correct <= extras.eval_examples
        # Without slack: the largest loss is a whole number of units. False for what is not finite, too.
        and 0.0 <= extras.eval_loss <= extras.eval_examples * LARGEST_SAMPLE_LOSS
    )


def _largest_norm(layout: Layout, block: Block, members: int, weight: float) -> float:
    """Of a block of the sum of honest members whose rounded weights have the sum `weight`: the mean's is C at most.

    Rounding adds, for each member, less than a step s in every element, so s * sqrt(size) to the norm; and half a unit
    of its weight, which is worth s / 2 where the norm is C.
    """
    rounding = members * (math.sqrt(block.size) + 0.5) * layout.step(block.clip_norm)
    return (weight * block.clip_norm + rounding) * (1 + _SLACK)


def _check(layout: Layout, blocks: Sequence[NDArray[np.float32]], uniforms: NDArray[np.float32]) -> None:
    sizes = [block.size for block in layout.blocks]
    if [values.size for values in blocks] != sizes or uniforms.size != sum(sizes):
        raise InvalidTensors("an update doesn't fit its layout", remedy="flatten the manifest's tensors in order")
    if not all(np.isfinite(values).all() for values in blocks):
        raise InvalidTensors("an update holds a value that is not finite", remedy="lower the learning rate")


def _extra_words(layout: Layout, extras: Extras, weight: float, clipped: int) -> list[int]:
    histogram = extras.histogram or (0,) * layout.classes
    if len(histogram) != layout.classes:
        raise InvalidTensors("a histogram has other classes than the layout", remedy="count every class")
    values = (weight, clipped, extras.eval_loss, extras.eval_correct, extras.eval_examples, *histogram)
    return [_nearest_unit(value, kind) for value, kind in zip(values, extra_kinds(layout), strict=True)]


def _nearest_unit(value: float, kind: Kind) -> int:
    """A value in units, halves up, clamped to its bound."""
    return math.floor(min(max(value, 0.0), kind.bound) / kind.step + 0.5)


def _from_extra_words(layout: Layout, words: NDArray[np.int32]) -> Extras:
    weight, clipped, loss, correct, examples, *histogram = (
        int(word) * kind.step for word, kind in zip(words, extra_kinds(layout), strict=True)
    )
    return Extras(weight, int(clipped), loss, int(correct), int(examples), tuple(int(count) for count in histogram))


def _out_of_bounds(what: str) -> InvalidInput:
    return InvalidInput(
        f"a group's sum has a {what} that no honest members reach", remedy="leave the group out, and spread its members"
    )

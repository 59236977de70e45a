"""What a task and its model mean for secure rounds: whether it can be one, and what stands where in a vector.

A vector is the update's parameters in the manifest's order, then its statistics in that order where the model has some,
each flattened row by row; then the extras (`fixed_point.extra_kinds`). Parameters and statistics are a block each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidTask
from fedrela.core.manifest import Manifest
from fedrela.core.privacy import SECURE_FEATURE
from fedrela.core.secure import clipping
from fedrela.core.secure.fixed_point import Block, Layout
from fedrela.core.task import Aggregation, Task
from fedrela.core.tensors import TensorSpec

FEWEST_GROUPS = 4  # that a robust rule tells a liar among
OR_PLAIN = 'or write privacy.secure = "none": each device\'s owner is told that the coordinator can read its updates'


def check(task: Task) -> None:
    """Raise InvalidTask for a task that asks for secure rounds and can't have them, naming both ways out."""
    if task.privacy.secure == "none":
        return
    settings, groups, rounds = task.aggregation, task.privacy.groups, task.round
    for can_be, problem, remedy in (
        (rounds.mode == "synchronous", "asynchronous rounds have no groups to sum", 'use round.mode = "synchronous"'),
        (settings.encoding == "float32", f"updates encoded as {settings.encoding} can't be masked", "use float32"),
        (
            rounds.goal >= groups.minimum,
            f"round.goal is {rounds.goal}, and a sum is of at least {groups.minimum} devices (privacy.group_minimum)",
            f"raise it, or lower group_minimum to {rounds.goal}" if rounds.goal >= 5 else "raise it",
        ),
        (
            settings.rule == "mean" or rounds.minimum > (FEWEST_GROUPS - 1) * groups.largest,
            f"{settings.rule} needs {FEWEST_GROUPS} groups, and groups have up to {groups.largest} devices",
            f"let round.minimum be above {(FEWEST_GROUPS - 1) * groups.largest}, or use the mean",
        ),
        (not settings.clip_norm, "nobody sees an update that could be clipped", "use privacy.clip_norm"),
    ):
        if not can_be:
            raise InvalidTask(f"rounds can't be secure: {problem}", remedy=f"{remedy}; {OR_PLAIN}")


def requiring(task: Task) -> Task:
    """The task as it is published: a client that doesn't know secure rounds takes no part in one that has them."""
    if task.privacy.secure == "none" or SECURE_FEATURE in task.requires:
        return task
    return replace(task, requires=(*task.requires, SECURE_FEATURE))


def layout(task: Task, manifest: Manifest, clip_millionths: int) -> Layout:
    """What a member's vector holds, and its steps. `clip_millionths`: the round's; 0: the task's own norm.

    Raises IntegrityError for one that a round of this task can't have.
    """
    norms = (clipping.norm(task.privacy, clip_millionths), task.privacy.statistics_clip_norm)
    sizes = [sum(spec.size for spec in specs) for specs in _blocks(manifest)]
    blocks = tuple(Block(size, norm) for size, norm in zip(sizes, norms, strict=False))
    return Layout(blocks, manifest.classes, task.privacy.groups.largest)


def words(task: Task, manifest: Manifest) -> int:
    """How many a member's vector has, whatever its steps."""
    return layout(task, manifest, clipping.first(task.privacy)).size


def flatten(change: Mapping[str, NDArray[np.float32]], manifest: Manifest) -> list[NDArray[np.float32]]:
    """The blocks of an update, one array each: what `fixed_point.encode` takes."""
    return [np.concatenate([change[spec.name].reshape(-1) for spec in specs]) for specs in _blocks(manifest)]


def unflatten(blocks: Sequence[NDArray[np.float64]], manifest: Manifest) -> dict[str, NDArray[np.float64]]:
    """The inverse: tensors by name, of the blocks' dtype."""
    tensors: dict[str, NDArray[np.float64]] = {}
    for values, specs in zip(blocks, _blocks(manifest), strict=True):
        start = 0
        for spec in specs:
            shape = tuple(int(size) for size in spec.shape)
            tensors[spec.name] = values[start : start + spec.size].reshape(shape)
            start += spec.size
    return tensors


def weight(settings: Aggregation, examples: int) -> float:
    """What a device's update counts in the mean, 0 to 1: all the same, unless the task weighs by examples."""
    if not settings.weight_by_examples:
        return 1.0
    return min(examples, settings.max_examples) / settings.max_examples


def least_weight(task: Task) -> float:
    """The smallest weight of a device that keeps to the task: it trains on `eligibility.min_examples` or more."""
    return weight(task.aggregation, task.eligibility.min_examples)


def _blocks(manifest: Manifest) -> list[tuple[TensorSpec, ...]]:
    statistics = tuple(spec for spec in manifest.weights if spec.name in manifest.statistics)
    return [manifest.parameters, *([statistics] if statistics else [])]

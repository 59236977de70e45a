"""The sums of a secure round's groups become one change of weights.

The mean is the sum of all groups' words, as integers, over the sum of their weights: so it is the same to the last bit
however devices were put together. A robust rule works on the groups' means.
"""

from dataclasses import dataclass

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import blobs, rows, secure_schema
from fedrela.core.aggregation import robust
from fedrela.core.errors import IntegrityError
from fedrela.core.manifest import Manifest
from fedrela.core.secure import fixed_point, secure_tasks
from fedrela.core.secure.fixed_point import Layout
from fedrela.core.task import Task
from fedrela.core.tensors import Params

_G = secure_schema.groups


@dataclass(frozen=True)
class GroupSum:
    """A stored sum. `sha256` names its blob with the group's id."""

    group_id: str
    sha256: str
    members: int


@dataclass(frozen=True)
class Sums:
    """What a round counts, in an order that is always the same, and the norm that its updates were clipped to."""

    groups: tuple[GroupSum, ...]
    clip_millionths: int


def sums(view: sa.Connection, task_id: str, number: int) -> Sums:
    """The sums of a round."""
    query = sa.select(_G.c.id, _G.c.sum_sha256, _G.c.survivors).where(
        _G.c.task_id == task_id, _G.c.round == number, _G.c.phase == "summed"
    )
    groups = tuple(GroupSum(*row) for row in view.execute(query.order_by(_G.c.sum_sha256, _G.c.id)))
    return Sums(groups, rows.round_row(view, task_id, number).clip_millionths)


def reduce(coordinator: Coordinator, counted: Sums, task: Task, manifest: Manifest, base: Params) -> Params:
    """The change of weights that a round gives, by the task's rule. `base`: the weights that it began with.

    Raises IntegrityError naming a sum that is missing or damaged.
    """
    layout, groups = secure_tasks.layout(task, manifest, counted.clip_millionths), counted.groups
    if task.aggregation.rule == "mean":
        whole = np.zeros(layout.size, np.int64)
        for group in groups:
            whole += _words(coordinator, group, layout)
        blocks, step = _mean(layout, whole)
    else:
        means = [_mean(layout, _words(coordinator, group, layout)) for group in groups]
        stack = np.stack([np.concatenate(mean).astype(np.float32) for mean, _ in means])
        vector = robust.aggregate(stack, task.aggregation, layout.blocks[0].size)
        bounds = np.cumsum([block.size for block in layout.blocks])[:-1]
        blocks, step = np.split(vector.astype(np.float64), bounds), max(step for _, step in means)
    change = {name: array.astype(np.float32) for name, array in secure_tasks.unflatten(blocks, manifest).items()}
    return _not_below_lowest(change, base, manifest, step * sum(group.members for group in groups))


def _words(coordinator: Coordinator, group: GroupSum, layout: Layout) -> NDArray[np.int64]:
    body = blobs.needed(coordinator.blobs, blobs.update(group.group_id, group.sha256))
    if len(body) != 4 * layout.size:
        raise IntegrityError(f"the sum of group {group.group_id} has another length", remedy="restore the database")
    return np.frombuffer(body, "<i4").astype(np.int64)


def _mean(layout: Layout, words: NDArray[np.int64]) -> tuple[list[NDArray[np.float64]], float]:
    """The blocks of a sum over the sum of its weights, in float64; and what one unit of the last block is worth."""
    weight = int(words[sum(block.size for block in layout.blocks)]) * fixed_point.extra_kinds(layout)[0].step
    blocks: list[NDArray[np.float64]] = []
    start = 0
    for block in layout.blocks:
        blocks.append(words[start : start + block.size].astype(np.float64) * layout.step(block.clip_norm) / weight)
        start += block.size
    return blocks, layout.step(layout.blocks[-1].clip_norm) / weight


def _not_below_lowest(change: Params, base: Params, manifest: Manifest, rounding: float) -> Params:
    """The change, but where rounding alone, of so much at most, takes a statistic below its lowest value."""
    raised = dict(change)
    for name, lowest in manifest.lowest_values.items():
        least = np.float32(lowest) - base[name]
        rounded = (change[name] < least) & (change[name] >= least - rounding)
        raised[name] = np.where(rounded, least, change[name])
    return raised

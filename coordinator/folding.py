"""Many stored updates become one change of weights. May import numpy, `core` and `coordinator.{blobs,rounds}`.

The mean holds one accumulator and at most `AHEAD` + 1 update bodies; the next body is read and its hash checked while
the present one is added. A robust rule first writes the updates as rows of one temporary file and then works on blocks
of its columns, so its memory doesn't grow with the number of devices.
"""

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import numpy as np

from coordinator import blobs as blob_store
from coordinator import rounds
from coordinator.blobs import Blobs
from core import encodings, robust, tensors
from core.aggregate import mean
from core.errors import IntegrityError
from core.task import Task
from core.tensors import Params, TensorSpec

AHEAD = 1


@dataclass(frozen=True)
class Counted:
    """One accepted update of a round."""

    assignment_id: str
    sha256: str
    base_round: int
    examples: int
    digest: str  # blobs.quick_digest of the body


def fold(
    blobs: Blobs,
    updates: list[Counted],
    task: Task,
    number: int,
    specs: tuple[TensorSpec, ...],
    *,
    on_progress: Callable[[], None],
) -> Params:
    """The change of weights that round `number` gives, by the task's rule. `on_progress` is called per update.

    Raises IntegrityError naming an update that is missing or damaged.
    """
    bodies = _bodies(blobs, updates)

    def decoded() -> Iterator[tuple[Params, float]]:
        for counted in updates:
            on_progress()
            yield _prepared(next(bodies), counted, task, number, specs)  # no name keeps a body alive

    if task.aggregation.rule == "mean":
        # Only shapes are looked at, so these zeros cost no memory.
        shapes = {spec.name: np.broadcast_to(np.float32(0), tuple(int(d) for d in spec.shape)) for spec in specs}
        return mean(decoded(), zero=shapes)
    with _stack(len(updates), sum(spec.size for spec in specs)) as stack:
        for row, (change, _) in zip(stack, decoded(), strict=True):
            robust.flatten(change, row)
        return robust.unflatten(robust.aggregate(stack, task.aggregation), specs)


def _prepared(
    body: bytes, counted: Counted, task: Task, number: int, specs: tuple[TensorSpec, ...]
) -> tuple[Params, float]:
    """One update as it goes into the rule, and its weight.

    FedBuff (Nguyen et al., AISTATS 2022) divides by the buffer's size, not by the sum of staleness factors, so the
    factor scales the update and not its weight.
    """
    settings = task.aggregation
    change = robust.clip(encodings.decode_again(body, specs, settings.encoding), settings.clip_norm)
    if task.round.mode == "asynchronous":
        stale = rounds.staleness(number, counted.base_round)
        change = tensors.scale(change, (1.0 + stale) ** -task.round.staleness_exponent)
    weight = min(counted.examples, settings.max_examples) if settings.weight_by_examples else 1
    return change, float(weight)


def _bodies(blobs: Blobs, updates: list[Counted]) -> Iterator[bytes]:
    """The bodies in order, each checked against its digest, read ahead by one thread."""
    following = iter(updates)
    with ThreadPoolExecutor(1) as reader:
        waiting: list[Future[bytes]] = [reader.submit(_body, blobs, update) for update in islice(following, AHEAD)]
        while waiting:
            body = waiting.pop(0).result()
            waiting += [reader.submit(_body, blobs, update) for update in islice(following, 1)]
            yield body
            del body  # before the next one is taken, so that no more than AHEAD + 1 are held


def _body(blobs: Blobs, update: Counted) -> bytes:
    """One stored update. Its SHA-256 was checked when it was accepted."""
    name = blob_store.update(update.assignment_id, update.sha256)
    try:
        body = blobs.read(name)
    except KeyError as error:
        raise IntegrityError(
            f"update {name[8:32]} is missing", remedy="restore it from a backup; the round goes on by itself then"
        ) from error
    if blob_store.quick_digest(body) != update.digest:
        raise IntegrityError(
            f"update {name[8:32]} is damaged: it does not match its hash",
            remedy="restore it from a backup; the round goes on by itself then",
        )
    return body


@contextmanager
def _stack(count: int, width: int) -> Iterator[robust.Stack]:
    """A (count, width) float32 array in an unlinked temporary file."""
    with tempfile.TemporaryFile() as file:
        yield np.memmap(file, np.float32, "w+", shape=(count, width))

"""Many stored updates become one change of weights.

The mean of plain float32 updates reads them in tiles (`aggregation/tiles.py`). Of other encodings, and where updates
are clipped, it holds one accumulator and at most `AHEAD` + 1 update bodies; the next body is read and its hash checked
while the present one is added. A robust rule first writes the updates as rows of one temporary file and then works on
blocks of its columns, so its memory doesn't grow with the number of devices.
"""

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import IO

import numpy as np

from fedrela.coordinator.aggregation import tiles
from fedrela.coordinator.aggregation.tiles import Part
from fedrela.coordinator.rounds import rules
from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage.blobs import Blobs
from fedrela.core import encodings, tensors
from fedrela.core.aggregation import robust
from fedrela.core.aggregation.aggregate import mean
from fedrela.core.errors import Unavailable
from fedrela.core.task import Task
from fedrela.core.tensors import Params, TensorSpec

AHEAD = 1
_ZEROS = bytes(1024 * 1024)


@dataclass(frozen=True)
class Counted:
    """One accepted update of a round."""

    assignment_id: str
    sha256: str
    base_round: int
    examples: int
    digest: str  # blobs.quick_digest of the body
    size_bytes: int


def reduce(
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
    settings = task.aggregation
    if settings.rule == "mean" and settings.encoding == "float32" and not settings.clip_norm:
        plain = tiles.mean(blobs, [_part(one, task, number) for one in updates], specs, on_progress=on_progress)
        if plain is not None:
            return plain
    bodies = _bodies(blobs, updates)

    def decoded() -> Iterator[tuple[Params, float]]:
        for counted in updates:
            on_progress()
            yield _prepared(next(bodies), counted, task, number, specs)  # no name keeps a body alive

    if settings.rule == "mean":
        # Only shapes are looked at, so these zeros cost no memory.
        shapes = {spec.name: np.broadcast_to(np.float32(0), tuple(int(d) for d in spec.shape)) for spec in specs}
        return mean(decoded(), zero=shapes)
    with _stack(len(updates), sum(spec.size for spec in specs)) as stack:
        for row, (change, _) in zip(stack, decoded(), strict=True):
            robust.flatten(change, row)
        return robust.unflatten(robust.aggregate(stack, settings), specs)


def norms(
    blobs: Blobs, updates: list[Counted], task: Task, specs: tuple[TensorSpec, ...], *, on_progress: Callable[[], None]
) -> list[float]:
    """The L2 norm of each update. Raises IntegrityError naming one that is missing or damaged."""
    sizes = []
    for body in _bodies(blobs, updates):
        on_progress()
        sizes.append(math.sqrt(tensors.squared_norm(encodings.decode_again(body, specs, task.aggregation.encoding))))
    return sizes


def _part(counted: Counted, task: Task, number: int) -> Part:
    """How an update that needs no decoding counts."""
    name = blob_store.update(counted.assignment_id, counted.sha256)
    return Part(name, counted.digest, counted.size_bytes, _weight(counted, task), _factor(counted, task, number))


def _prepared(
    body: bytes, counted: Counted, task: Task, number: int, specs: tuple[TensorSpec, ...]
) -> tuple[Params, float]:
    """One update as it goes into the rule, and its weight."""
    settings = task.aggregation
    change = robust.clip(encodings.decode_again(body, specs, settings.encoding), settings.clip_norm)
    factor = _factor(counted, task, number)
    return tensors.scale(change, factor) if factor != 1 else change, _weight(counted, task)


def _factor(counted: Counted, task: Task, number: int) -> float:
    """What the update's values are multiplied by: less than 1 for one that started from an older global model.

    FedBuff (Nguyen et al., AISTATS 2022) divides by the buffer's size, not by the sum of staleness factors, so the
    factor scales the update and not its weight.
    """
    if task.round.mode == "synchronous":
        return 1.0
    return float((1.0 + rules.staleness(number, counted.base_round)) ** -task.round.staleness_exponent)


def _weight(counted: Counted, task: Task) -> float:
    settings = task.aggregation
    return float(min(counted.examples, settings.max_examples) if settings.weight_by_examples else 1)


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
        raise blob_store.missing(name) from error
    if blob_store.quick_digest(body) != update.digest:
        raise blob_store.damaged(name)
    return body


@contextmanager
def _stack(count: int, width: int) -> Iterator[robust.Stack]:
    """A (count, width) float32 array in an unlinked temporary file, all of whose bytes are there before it is mapped.

    A page of a sparse file that a full disk can't hold would end the process with SIGBUS. Raises Unavailable instead.
    """
    with ExitStack() as files:
        try:
            file = files.enter_context(tempfile.TemporaryFile())
            _reserve(file, 4 * count * width)
        except OSError as error:
            raise _no_temporary_space(error) from error
        yield np.memmap(file, np.float32, "r+", shape=(count, width))


def _reserve(file: IO[bytes], size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - start])
    file.flush()


def _no_temporary_space(error: OSError) -> Unavailable:
    return Unavailable(
        f"there is no room for a robust rule's temporary file ({error.strerror or error})",
        remedy="free disk space there, or set TMPDIR to a folder that exists and has some",
    )

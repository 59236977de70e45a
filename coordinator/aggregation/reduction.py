"""Many stored updates become one change of weights.

The mean of plain float32 updates reads them in tiles (`aggregation/tiles.py`). Of other encodings, and where updates
are clipped, it holds one accumulator and at most `AHEAD` + 1 update bodies; the next body is read and its hash checked
while the present one is added. A robust rule first writes the updates as rows of one temporary file and then works on
blocks of its columns, so its memory doesn't grow with the number of devices.

Statistics are averaged with the updates' weights, as the values that devices ended with: no clipping and no staleness
shortens what was counted, and an update that began with an older model is set against the newest. So a mean of
variances is never below zero, nor is it by rounding, which is monotonic: a change is at least minus what it began with.
"""

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
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
from fedrela.core.manifest import Manifest
from fedrela.core.task import Task
from fedrela.core.tensors import Params

AHEAD = 1
_ZEROS = bytes(1024 * 1024)


@dataclass(frozen=True)
class Model:
    """What round `number` changes. `began`: the statistics that a round's model had, by round, for `number` and every
    round that one of its updates began with.
    """

    number: int
    manifest: Manifest
    began: Mapping[int, Params]


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
    blobs: Blobs, updates: list[Counted], task: Task, model: Model, *, on_progress: Callable[[], None]
) -> Params:
    """The change of weights that a round gives, by the task's rule. `on_progress` is called per update.

    Raises IntegrityError naming an update that is missing or damaged.
    """
    settings, specs = task.aggregation, model.manifest.weights
    if _is_tiled(updates, task, model):
        parts = [_part(one, task, model.number) for one in updates]
        plain = tiles.mean(blobs, parts, specs, on_progress=on_progress)
        if plain is not None:
            return plain
    decoded = _decoded(blobs, updates, task, model, on_progress)
    prepared = (_prepared(next(decoded), counted, task, model) for counted in updates)
    if settings.rule == "mean":
        # Only shapes are looked at, so these zeros cost no memory.
        shapes = {spec.name: np.broadcast_to(np.float32(0), tuple(int(d) for d in spec.shape)) for spec in specs}
        return mean(prepared, zero=shapes)
    parameters = model.manifest.parameters
    columns = (*parameters, *(spec for spec in specs if spec not in parameters))
    with _stack(len(updates), sum(spec.size for spec in columns)) as stack:
        for row, (change, _) in zip(stack, prepared, strict=True):
            robust.flatten({spec.name: change[spec.name] for spec in columns}, row)
        return robust.unflatten(robust.aggregate(stack, settings, sum(spec.size for spec in parameters)), columns)


def norms(
    blobs: Blobs, updates: list[Counted], task: Task, model: Model, *, on_progress: Callable[[], None]
) -> list[float]:
    """The L2 norm of each update. Raises IntegrityError naming one that is missing or damaged."""
    decoded = _decoded(blobs, updates, task, model, on_progress)
    return [math.sqrt(tensors.squared_norm(change)) for change in decoded]


def below_lowest(
    blobs: Blobs, updates: list[Counted], task: Task, model: Model, *, on_progress: Callable[[], None]
) -> list[int]:
    """Which updates bring a statistic below its lowest value. Raises IntegrityError as `norms` does."""
    decoded = _decoded(blobs, updates, task, model, on_progress)
    return [
        index
        for index, (counted, change) in enumerate(zip(updates, decoded, strict=True))
        if model.manifest.below_lowest(tensors.add(model.began[counted.base_round], change))
    ]


def _part(counted: Counted, task: Task, number: int) -> Part:
    """How an update that needs no decoding counts."""
    name = blob_store.update(counted.assignment_id, counted.sha256)
    return Part(name, counted.digest, counted.size_bytes, _weight(counted, task), _factor(counted, task, number))


def _is_tiled(updates: list[Counted], task: Task, model: Model) -> bool:
    """Whether the stored values are what is averaged, but for a factor that all of an update share."""
    settings = task.aggregation
    plain = settings.rule == "mean" and settings.encoding == "float32" and not settings.clip_norm
    return plain and (not model.manifest.statistics or all(one.base_round == model.number for one in updates))


def _decoded(
    blobs: Blobs, updates: list[Counted], task: Task, model: Model, on_progress: Callable[[], None]
) -> Iterator[Params]:
    """The changes of the updates, one after the other."""
    bodies, manifest = _bodies(blobs, updates), model.manifest
    for _ in updates:
        on_progress()
        # No name keeps a body alive.
        yield encodings.decode_again(next(bodies), manifest.weights, task.aggregation.encoding, manifest.statistics)


def _prepared(change: Params, counted: Counted, task: Task, model: Model) -> tuple[Params, float]:
    """One update as it goes into the rule, and its weight."""
    began, now = model.began[counted.base_round], model.began[model.number]
    parameters = {name: array for name, array in change.items() if name not in now}
    parameters = robust.clip(parameters, task.aggregation.clip_norm)
    factor = _factor(counted, task, model.number)
    if factor != 1:
        parameters = tensors.scale(parameters, factor)
    statistics = {name: change[name] for name in now}
    if counted.base_round != model.number:
        statistics = tensors.subtract(tensors.add(began, statistics), now)
    return parameters | statistics, _weight(counted, task)


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

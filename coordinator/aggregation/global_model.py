"""The stored updates of a round become the next global model. Runs in a worker thread, never in a request.

The result depends only on what is stored: updates are reduced in ascending order of their bodies' SHA-256, so arrival
order, the number of workers and a crash in the middle change nothing. Several workers may compute one round (a lease
makes it rare); the first commit wins, and all results are equal.
"""

import time
from collections.abc import Callable

import numpy as np
import sqlalchemy as sa

from fedrela.coordinator.aggregation import reduction, secure_mean
from fedrela.coordinator.aggregation.reduction import Counted, Model
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import closing
from fedrela.coordinator.rounds.closing import AggregationResult
from fedrela.coordinator.storage import blobs, reported, schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core import signing, tensors
from fedrela.core.aggregation import outliers, server_opt
from fedrela.core.errors import FedRelaError, InvalidTensors
from fedrela.core.manifest import Manifest
from fedrela.core.tensors import Params

# Of a model's or an optimizer state's values: far below what float32 holds (3.4e38), so that a next sum is finite.
LARGEST_VALUE = 1e30


class Overflow(FedRelaError):
    """No usable model comes out of a round's updates: a value is too large, or a statistic below its lowest value.

    `updates`: those that are to be left out; `code`: the failure that their assignments end with.
    """

    def __init__(self, updates: list[Counted], code: str = closing.OVERFLOWS) -> None:
        super().__init__("the updates give no usable model", remedy="nothing: those that did it are left out")
        self.updates, self.code = updates, code


def aggregate(
    coordinator: Coordinator, task_id: str, number: int, on_progress: Callable[[], None] = lambda: None
) -> AggregationResult:
    """Compute the next global model from the stored updates and store it; nothing refers to it yet.

    `on_progress` is called per update, or about once a second.

    Raises Overflow naming updates that must be left out, and none where they are of too few devices.
    """
    started = time.perf_counter()
    with coordinator.store.read() as view:
        row = view.execute(sa.select(schema.tasks).where(schema.tasks.c.id == task_id)).one()
        updates = counted(view, task_id, number)
        devices = reported.devices_counted_in(view, task_id, number)
        began = _base_checkpoints(view, task_id, {number, *(one.base_round for one in updates)})
    task, manifest = parse_task(row.task_json), coordinator.manifest(row.manifest_sha256)
    if len(devices) < task.round.smallest_cohort:
        raise Overflow([])
    if task.privacy.secure == "peers":
        weights, state = _from_sums(coordinator, row, number, manifest, began[number])
        return _saved(coordinator, task_id, manifest, weights, state, started)
    model = Model(number, manifest, _statistics(coordinator, began, manifest))
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
        change = reduction.reduce(coordinator.blobs, updates, task, model, on_progress=on_progress)
    weights = tensors.view(blobs.needed(coordinator.blobs, blobs.public(began[number])))
    weights, state = _moved(coordinator, row, manifest, weights, change)
    del change
    if not _are_usable(weights, state):
        norms = reduction.norms(coordinator.blobs, updates, task, model, on_progress=on_progress)
        raise Overflow([updates[index] for index in outliers.largest_updates(norms)])
    if manifest.below_lowest(weights):
        below = reduction.below_lowest(coordinator.blobs, updates, task, model, on_progress=on_progress)
        raise Overflow([updates[index] for index in below or range(len(updates))], closing.BELOW_LOWEST)
    return _saved(coordinator, task_id, manifest, weights, state, started)


def _from_sums(
    coordinator: Coordinator, row: Row, number: int, manifest: Manifest, base_sha256: str
) -> tuple[Params, Params]:
    """The next model and state of a secure round. Raises Overflow where they are of no use."""
    with coordinator.store.read() as view:
        sums = secure_mean.sums(view, row.id, number)
    base = tensors.view(blobs.needed(coordinator.blobs, blobs.public(base_sha256)))
    change = secure_mean.reduce(coordinator, sums, parse_task(row.task_json), manifest, base)
    weights, state = _moved(coordinator, row, manifest, base, change)
    if not _are_usable(weights, state) or manifest.below_lowest(weights):
        raise Overflow([])
    return weights, state


def _saved(
    coordinator: Coordinator, task_id: str, manifest: Manifest, weights: Params, state: Params, started: float
) -> AggregationResult:
    """The model and the state as blobs."""
    body = tensors.to_bytes({spec.name: weights[spec.name] for spec in manifest.weights})
    sha256 = signing.sha256(body)
    coordinator.blobs.put(blobs.public(sha256), body)
    return AggregationResult(sha256, len(body), _save_state(coordinator, task_id, state), time.perf_counter() - started)


def _moved(
    coordinator: Coordinator, row: Row, manifest: Manifest, weights: Params, change: Params
) -> tuple[Params, Params]:
    """The next model and server optimizer's state. The optimizer moves parameters; statistics are what was counted."""
    optimizer = server_opt.make(parse_task(row.task_json).aggregation)
    parameters = {name: array for name, array in weights.items() if name not in manifest.statistics}
    state = _load_state(coordinator, row.server_state, parameters) if row.server_state else optimizer.init(parameters)
    _check_base(manifest, weights, state)
    with np.errstate(over="ignore", invalid="ignore"):
        parameters, state = optimizer.step(parameters, change, state)
        return parameters | {name: weights[name] + change[name] for name in manifest.statistics}, state


def counted(view: sa.Connection, task_id: str, number: int) -> list[Counted]:
    """The updates of a round in the order in which they are reduced."""
    table = schema.assignments
    part_rows = view.execute(
        sa.select(
            table.c.id,
            table.c.update_sha256,
            table.c.round,
            table.c.examples,
            table.c.update_digest,
            table.c.update_bytes,
        )
        .where(table.c.task_id == task_id, table.c.counted_in == number, table.c.status == "reported")
        .order_by(table.c.update_sha256, table.c.round)
    )
    return [Counted(*row) for row in part_rows]


def _base_checkpoints(view: sa.Connection, task_id: str, numbers: set[int]) -> dict[int, str]:
    """The checkpoints that rounds began with, by round."""
    table = schema.rounds
    query = sa.select(table.c.number, table.c.base_checkpoint_sha256).where(
        table.c.task_id == task_id, table.c.number.in_(numbers)
    )
    return {row.number: row.base_checkpoint_sha256 for row in view.execute(query)}


def _statistics(coordinator: Coordinator, began: dict[int, str], manifest: Manifest) -> dict[int, Params]:
    """The statistics of checkpoints, by round; none is read where the model has no statistic."""
    if not manifest.statistics:
        return {number: {} for number in began}
    result = {}
    for number, sha256 in began.items():
        checkpoint = tensors.view(blobs.needed(coordinator.blobs, blobs.public(sha256)))
        result[number] = {name: checkpoint[name].copy() for name in sorted(manifest.statistics)}
    return result


def _load_state(coordinator: Coordinator, name: str, parameters: Params) -> Params:
    """A server optimizer's state. Version 0.1 kept moments of statistics in it, too: they are left out."""
    state = tensors.read(blobs.needed(coordinator.blobs, name))
    return {key: array for key, array in state.items() if key.partition(".")[2] in parameters}


def _save_state(coordinator: Coordinator, task_id: str, state: Params) -> str:
    """The private blob of a server optimizer's state; empty for one that has none."""
    if not state:
        return ""
    body = tensors.to_bytes(state)
    name = f"private/{task_id}.state.{signing.sha256(body)}"
    coordinator.blobs.put(name, body)
    return name


def _are_usable(*models: Params) -> bool:
    """Whether every value is a number of at most LARGEST_VALUE."""
    return all(np.abs(array).max(initial=0.0) <= LARGEST_VALUE for model in models for array in model.values())


def _check_base(manifest: Manifest, weights: Params, state: Params) -> None:
    """Raise InvalidTensors where the former model or state is beyond use already, which no update of now explains."""
    if not _are_usable(weights, state) or manifest.below_lowest(weights):
        raise InvalidTensors(
            "the model or the server optimizer's state overflowed or left its range in an earlier round",
            remedy="run `fedrela task rollback TASK --to ROUND` with a round before that",
        )

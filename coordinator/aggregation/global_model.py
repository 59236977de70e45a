"""The stored updates of a round become the next global model. Runs in a worker thread, never in a request.

The result depends only on what is stored: updates are reduced in ascending order of their bodies' SHA-256, so arrival
order, the number of workers and a crash in the middle change nothing. Several workers may compute one round (a lease
makes it rare); the first commit wins, and all results are equal.
"""

import time
from collections.abc import Callable

import numpy as np
import sqlalchemy as sa

from fedrela.coordinator.aggregation import reduction
from fedrela.coordinator.aggregation.reduction import Counted
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds.closing import AggregationResult
from fedrela.coordinator.storage import blobs, reported, rows, schema
from fedrela.core import signing, tensors
from fedrela.core.aggregation import outliers, server_opt
from fedrela.core.errors import FedRelaError, InvalidTensors
from fedrela.core.tensors import Params

# Of a model's or an optimizer state's values: far below what float32 holds (3.4e38), so that a next sum is finite.
LARGEST_VALUE = 1e30


class Overflow(FedRelaError):
    """No model with finite, usable values comes out of a round's updates. `updates`: those that are to be left out."""

    def __init__(self, updates: list[Counted]) -> None:
        super().__init__("the updates overflow the model", remedy="nothing: the largest of them are left out")
        self.updates = updates


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
        record = rows.round_row(view, task_id, number)
        updates = counted(view, task_id, number)
        devices = reported.devices_counted_in(view, task_id, number)
    task, specs = parse_task(row.task_json), coordinator.manifest(row.manifest_sha256).weights
    if len(devices) < task.round.smallest_cohort:
        raise Overflow([])
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is found below
        change = reduction.reduce(coordinator.blobs, updates, task, number, specs, on_progress=on_progress)
    weights = tensors.view(blobs.needed(coordinator.blobs, blobs.public(record.base_checkpoint_sha256)))
    optimizer = server_opt.make(task.aggregation)
    state = _load_state(coordinator, row.server_state) if row.server_state else optimizer.init(weights)
    _check_base(weights, state)
    with np.errstate(over="ignore", invalid="ignore"):
        weights, state = optimizer.step(weights, change, state)
    del change
    if not _are_usable(weights, state):
        norms = reduction.norms(coordinator.blobs, updates, task, specs, on_progress=on_progress)
        raise Overflow([updates[index] for index in outliers.largest_updates(norms)])
    body = tensors.to_bytes({spec.name: weights[spec.name] for spec in specs})
    sha256 = signing.sha256(body)
    coordinator.blobs.put(blobs.public(sha256), body)
    return AggregationResult(sha256, len(body), _save_state(coordinator, task_id, state), time.perf_counter() - started)


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


def _load_state(coordinator: Coordinator, name: str) -> Params:
    return tensors.read(blobs.needed(coordinator.blobs, name))


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


def _check_base(weights: Params, state: Params) -> None:
    """Raise InvalidTensors where the former model or state is beyond use already, which no update of now explains."""
    if not _are_usable(weights, state):
        raise InvalidTensors(
            "the model or the server optimizer's state overflowed in an earlier round",
            remedy="run `fedrela task rollback TASK --to ROUND` with a round before that",
        )

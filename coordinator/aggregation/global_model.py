"""The stored updates of a round become the next global model. Runs in a worker thread, never in a request.

The result depends only on what is stored: updates are reduced in ascending order of their bodies' SHA-256, so arrival
order, the number of workers and a crash in the middle change nothing. Several workers may compute one round (a lease
makes it rare); the first commit wins, and all results are equal.
"""

import logging
import os
import socket
import time

import sqlalchemy as sa

from fedrela.coordinator.aggregation import reduction
from fedrela.coordinator.aggregation.reduction import Counted
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.monitoring import metrics
from fedrela.coordinator.rounds import closing
from fedrela.coordinator.rounds.closing import AggregationResult
from fedrela.coordinator.storage import blobs, rows, schema
from fedrela.core import signing, tensors
from fedrela.core.aggregation import server_opt
from fedrela.core.errors import FedRelaError
from fedrela.core.tensors import Params

LEASE_SECONDS = 20.0  # of a worker on a round, in real time; renewed between updates
RETRY_SECONDS = 3.0  # after a round could not be aggregated
HOST = socket.gethostname()
log = logging.getLogger("fedrela.coordinator")


def worker_name() -> str:
    """This process, so that another on the same host can see whether it still lives."""
    return f"{HOST}/{os.getpid()}"


def run_due(coordinator: Coordinator) -> int:
    """Aggregate and commit every round that waits for it and that no other worker holds. Returns how many.

    A round whose updates can't be read stays as it is, with the reason in its task's `problem`; it is tried again.
    """
    with coordinator.aggregating:
        return sum(_run(coordinator, task_id, number) for task_id, number in _waiting(coordinator))


def _run(coordinator: Coordinator, task_id: str, number: int) -> bool:
    if time.monotonic() < coordinator.retry_at.get(task_id, 0.0) or not _claim(coordinator, task_id, number):
        return False
    try:
        result = aggregate(coordinator, task_id, number)
        committed = closing.commit(coordinator, task_id, number, result, coordinator.store.now())
    except FedRelaError as error:
        log.error("round can't be aggregated", extra={"task": task_id, "round": number, "problem": str(error)})
        coordinator.retry_at[task_id] = time.monotonic() + RETRY_SECONDS
        _record_problem(coordinator, task_id, number, str(error))
        return False
    if committed:
        metrics.ROUNDS_COMMITTED.inc()
        metrics.AGGREGATION_SECONDS.observe(result.seconds)
        log.info("round committed", extra={"task": task_id, "round": number, "seconds": round(result.seconds, 4)})
    _drop_updates(coordinator, task_id, number)
    return committed


def _waiting(coordinator: Coordinator) -> list[tuple[str, int]]:
    tasks, table = schema.tasks, schema.rounds
    with coordinator.store.read() as view:
        round_rows = view.execute(
            sa.select(table.c.task_id, table.c.number)
            .join(tasks, sa.and_(tasks.c.id == table.c.task_id, tasks.c.round == table.c.number))
            .where(table.c.phase == "aggregating", tasks.c.status.in_(("running", "paused")))
            .order_by(table.c.task_id)
        ).all()
    return [(row.task_id, row.number) for row in round_rows]


def _claim(coordinator: Coordinator, task_id: str, number: int) -> bool:
    """Take the round's lease unless a living worker has it."""
    now = time.time()
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        record = rows.round_row(tx, task_id, row.round) if row.round == number else None
        if record is None or record.phase != "aggregating":
            return False
        held = record.worker is not None and record.worker != worker_name() and record.worker_until > now
        if held and _alive(record.worker):
            return False
        _set_lease(tx, task_id, number, now)
    return True


def _alive(worker: str) -> bool:
    """Whether another worker can still be at work. On another host only its lease can tell."""
    host, _, pid = worker.rpartition("/")
    if host != HOST:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _set_lease(tx: sa.Connection, task_id: str, number: int, now: float) -> None:
    tx.execute(
        sa.update(schema.rounds)
        .where(schema.rounds.c.task_id == task_id, schema.rounds.c.number == number)
        .values(worker=worker_name(), worker_until=now + LEASE_SECONDS)
    )


def _record_problem(coordinator: Coordinator, task_id: str, number: int, problem: str) -> None:
    with coordinator.store.write() as tx:
        tx.execute(
            sa.update(schema.tasks)
            .where(schema.tasks.c.id == task_id, schema.tasks.c.round == number)
            .values(problem=problem)
        )
        tx.execute(
            sa.update(schema.rounds)
            .where(schema.rounds.c.task_id == task_id, schema.rounds.c.number == number)
            .values(worker=None, worker_until=None)
        )


def aggregate(coordinator: Coordinator, task_id: str, number: int) -> AggregationResult:
    """Compute the next global model from the stored updates and store it; nothing refers to it yet."""
    started = time.perf_counter()
    with coordinator.store.read() as view:
        row = view.execute(sa.select(schema.tasks).where(schema.tasks.c.id == task_id)).one()
        record = rows.round_row(view, task_id, number)
        updates = _counted(view, task_id, number)
    task, specs = parse_task(row.task_json), coordinator.manifest(row.manifest_sha256).weights
    change = reduction.reduce(
        coordinator.blobs, updates, task, number, specs, on_progress=_Lease(coordinator, task_id, number).renew
    )
    weights = tensors.view(blobs.needed(coordinator.blobs, blobs.public(record.base_checkpoint_sha256)))
    optimizer = server_opt.make(task.aggregation)
    state = _load_state(coordinator, row.server_state) if row.server_state else optimizer.init(weights)
    weights, state = optimizer.step(weights, change, state)
    del change
    body = tensors.to_bytes({spec.name: weights[spec.name] for spec in specs})
    tensors.check(weights, specs)  # finite, or nothing is committed
    sha256 = signing.sha256(body)
    coordinator.blobs.put(blobs.public(sha256), body)
    return AggregationResult(sha256, len(body), _save_state(coordinator, task_id, state), time.perf_counter() - started)


class _Lease:
    """A worker's claim on a round; `renew` is cheap to call often."""

    def __init__(self, coordinator: Coordinator, task_id: str, number: int) -> None:
        self._coordinator, self._task_id, self._number = coordinator, task_id, number
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Extend the lease where a quarter of it has passed."""
        if time.monotonic() - self._renewed > LEASE_SECONDS / 4:
            self._renewed = time.monotonic()
            with self._coordinator.store.write() as tx:
                _set_lease(tx, self._task_id, self._number, time.time())


def _counted(view: sa.Connection, task_id: str, number: int) -> list[Counted]:
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


def _drop_updates(coordinator: Coordinator, task_id: str, number: int) -> None:
    """The updates of a committed round are of no more use, and nobody should be able to look at them."""
    with coordinator.store.read() as view:
        if rows.round_row(view, task_id, number).phase != "committed":
            return
        updates = _counted(view, task_id, number)
    for update in updates:
        try:
            coordinator.blobs.delete(blobs.update(update.assignment_id, update.sha256))
        except FedRelaError as error:
            log.warning("an update stays until blobs are collected", extra={"problem": str(error)})
            return

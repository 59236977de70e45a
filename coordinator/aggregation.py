"""The stored updates of a round become the next global model. Runs in a worker thread, never in a request.

May import `core`, SQLAlchemy and the storage modules of this package. The result depends only on what is stored:
updates are folded in ascending order of their bodies' SHA-256, so arrival order, the number of workers and a crash in
the middle change nothing. Several workers may compute one round (a lease makes it rare); the first commit wins, and all
results are equal.
"""

import logging
import os
import socket
import time
from collections.abc import Iterator

import sqlalchemy as sa

from coordinator import blobs, rounds, rows, schema, service
from coordinator.context import Coordinator, parse_task
from coordinator.rows import Row
from coordinator.service import Result
from core import encodings, server_opt, signing, tensors
from core.aggregate import mean
from core.errors import FedRelaError
from core.task import Task
from core.tensors import Params

LEASE_SECONDS = 20.0  # of a worker on a round, in real time; renewed between updates
HOST = socket.gethostname()
log = logging.getLogger("fedrela.coordinator")


def worker_name() -> str:
    """This process, so that another on the same host can see whether it still lives."""
    return f"{HOST}/{os.getpid()}"


def run_due(c: Coordinator) -> int:
    """Aggregate and commit every round that waits for it and that no other worker holds. Returns how many.

    A round whose updates can't be read stays as it is, with the reason in its task's `problem`; it is tried again.
    """
    committed = 0
    for task_id, number in _waiting(c):
        if not _claim(c, task_id, number):
            continue
        try:
            result = aggregate(c, task_id, number)
            if service.commit(c, task_id, number, result, c.store.now()):
                committed += 1
                log.info("round committed", extra={"task": task_id, "round": number, "seconds": result.seconds})
        except FedRelaError as error:
            log.error("round can't be aggregated", extra={"task": task_id, "round": number, "problem": str(error)})
            _record_problem(c, task_id, number, str(error))
            continue
        _drop_updates(c, task_id, number)
    return committed


def _waiting(c: Coordinator) -> list[tuple[str, int]]:
    tasks, table = schema.tasks, schema.rounds
    with c.store.read() as view:
        found = view.execute(
            sa.select(table.c.task_id, table.c.number)
            .join(tasks, sa.and_(tasks.c.id == table.c.task_id, tasks.c.round == table.c.number))
            .where(table.c.phase == "aggregating", tasks.c.status.in_(("running", "paused")))
            .order_by(table.c.task_id)
        ).all()
    return [(row.task_id, row.number) for row in found]


def _claim(c: Coordinator, task_id: str, number: int) -> bool:
    """Take the round's lease unless a living worker has it."""
    now = time.time()
    with c.store.write() as tx:
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


def _record_problem(c: Coordinator, task_id: str, number: int, problem: str) -> None:
    with c.store.write() as tx:
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


def aggregate(c: Coordinator, task_id: str, number: int) -> Result:
    """Compute the next global model from the stored updates and store it; nothing refers to it yet."""
    started = time.perf_counter()
    with c.store.read() as view:
        row = view.execute(sa.select(schema.tasks).where(schema.tasks.c.id == task_id)).one()
        record = rows.round_row(view, task_id, number)
        turns = _counted(view, task_id, number)
    task, specs = parse_task(row.task_json), c.manifest(row.manifest_sha256).weights
    start = blobs.needed(c.blobs, blobs.public(record.base_checkpoint_sha256))
    weights = tensors.from_bytes(start, specs)
    change = mean(_weighted(c, task, task_id, number, turns, specs), zero=weights)
    optimizer = server_opt.make(task.aggregation)
    state = _load_state(c, row.server_state) if row.server_state else optimizer.init(weights)
    weights, state = optimizer.step(weights, change, state)
    body = tensors.to_bytes({spec.name: weights[spec.name] for spec in specs})
    tensors.from_bytes(body, specs)  # finite, or nothing is committed
    sha256 = signing.sha256(body)
    c.blobs.put(blobs.public(sha256), body)
    return Result(sha256, len(body), _save_state(c, task_id, state), time.perf_counter() - started)


def _counted(view: sa.Connection, task_id: str, number: int) -> list[Row]:
    table = schema.assignments
    return list(
        view.execute(
            sa.select(table.c.id, table.c.round, table.c.examples, table.c.update_sha256)
            .where(table.c.task_id == task_id, table.c.counted_in == number, table.c.status == "reported")
            .order_by(table.c.update_sha256, table.c.round)
        )
    )


def _weighted(
    c: Coordinator, task: Task, task_id: str, number: int, turns: list[Row], specs: tuple[tensors.TensorSpec, ...]
) -> Iterator[tuple[Params, float]]:
    """Each update with its weight, one at a time; renews the worker's lease on the way."""
    settings, renewed = task.aggregation, time.monotonic()
    for turn in turns:
        body = blobs.needed(c.blobs, blobs.update(turn.id, turn.update_sha256))
        change, _ = encodings.decode(body, specs, settings.encoding)
        if task.round.mode == "asynchronous":
            stale = rounds.staleness(number, turn.round)
            change = tensors.scale(change, (1.0 + stale) ** -task.round.staleness_exponent)
        yield change, float(min(turn.examples, settings.max_examples) if settings.weight_by_examples else 1)
        if time.monotonic() - renewed > LEASE_SECONDS / 4:
            renewed = time.monotonic()
            with c.store.write() as tx:
                _set_lease(tx, task_id, number, time.time())


def _load_state(c: Coordinator, name: str) -> Params:
    return tensors.read(blobs.needed(c.blobs, name))


def _save_state(c: Coordinator, task_id: str, state: Params) -> str:
    """The private blob of a server optimizer's state; empty for one that has none."""
    if not state:
        return ""
    body = tensors.to_bytes(state)
    name = f"private/{task_id}.state.{signing.sha256(body)}"
    c.blobs.put(name, body)
    return name


def _drop_updates(c: Coordinator, task_id: str, number: int) -> None:
    """The updates of a committed round are of no more use, and nobody should be able to look at them."""
    with c.store.read() as view:
        if rows.round_row(view, task_id, number).phase != "committed":
            return
        turns = _counted(view, task_id, number)
    for turn in turns:
        try:
            c.blobs.delete(blobs.update(turn.id, turn.update_sha256))
        except FedRelaError as error:
            log.warning("an update stays until blobs are collected", extra={"problem": str(error)})
            return

"""Which rounds wait for their aggregation, and which worker does it. Runs in a worker thread, never in a request.

Several workers may compute one round (a lease makes it rare); the first commit wins, and all results are equal.
"""

import logging
import time
from contextlib import suppress
from functools import partial

import sqlalchemy as sa

from fedrela.coordinator.aggregation import global_model
from fedrela.coordinator.aggregation.global_model import Overflow
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.monitoring import metrics
from fedrela.coordinator.rounds import closing, isolation
from fedrela.coordinator.rounds.workers import is_alive, worker_name
from fedrela.coordinator.secure import endings
from fedrela.coordinator.storage import blobs, rows, schema
from fedrela.coordinator.storage.collection import discard
from fedrela.core.errors import FedRelaError

LEASE_SECONDS = 20.0  # of a worker on a round, in real time; renewed between updates
FAILED = "round can't be aggregated"
log = logging.getLogger("fedrela.coordinator")


def run_due(coordinator: Coordinator) -> int:
    """Aggregate and commit every round that waits for it and that no other worker holds. Returns how many moved on.

    A round that can't be aggregated stays as it is, with the reason in its task's `problem`; it is tried again.
    """
    with coordinator.aggregating:
        return sum(
            bool(isolation.attempt(coordinator, task_id, FAILED, partial(_run, coordinator, task_id, number)))
            for task_id, number in _waiting(coordinator)
        )


def _run(coordinator: Coordinator, task_id: str, number: int) -> bool:
    """Whether the round has moved on."""
    if not _claim(coordinator, task_id, number):
        return False
    try:
        return _aggregate_and_commit(coordinator, task_id, number)
    except BaseException:
        _release(coordinator, task_id, number)
        raise


def _aggregate_and_commit(coordinator: Coordinator, task_id: str, number: int) -> bool:
    try:
        renew = _Lease(coordinator, task_id, number).renew
        result = global_model.aggregate(coordinator, task_id, number, renew)
    except Overflow as overflow:
        _leave_out(coordinator, task_id, number, overflow)
        return True
    except FedRelaError:
        if any(waiting == (task_id, number) for waiting in _waiting(coordinator)):
            raise
        return False  # another worker has committed it meanwhile, and deleted what this one was reading
    former = _server_state(coordinator, task_id)
    committed = closing.commit(coordinator, task_id, number, result, coordinator.store.now())
    if committed:
        metrics.ROUNDS_COMMITTED.inc()
        metrics.AGGREGATION_SECONDS.observe(result.seconds)
        log.info("round committed", extra={"task": task_id, "round": number, "seconds": round(result.seconds, 4)})
    needed = _server_state(coordinator, task_id)  # none, once the task is over
    discard(coordinator, [name for name in (former, result.server_state) if name not in ("", needed)])
    _drop_updates(coordinator, task_id, number)
    return committed


def _leave_out(coordinator: Coordinator, task_id: str, number: int, overflow: Overflow) -> None:
    """Take updates out of a round and name them: in the log, and at their assignments, which have failed."""
    with coordinator.store.read() as view:
        task_json = view.scalar(sa.select(schema.tasks.c.task_json).where(schema.tasks.c.id == task_id))
    if parse_task(str(task_json)).privacy.secure == "peers":  # no update can be taken out of a sum
        why = "no usable model comes of its sums"
        closing.skip_round(coordinator, task_id, number, why, coordinator.store.now())
        return
    assignment_ids = [update.assignment_id for update in overflow.updates]
    closing.drop_updates(coordinator, task_id, number, assignment_ids, overflow.code, coordinator.store.now())
    log.warning("updates left out", extra={"task": task_id, "round": number, "assignments": assignment_ids})
    for _ in overflow.updates:
        metrics.UPDATES_REFUSED.labels(overflow.code).inc()
    discard(coordinator, [blobs.update(update.assignment_id, update.sha256) for update in overflow.updates])


def _server_state(coordinator: Coordinator, task_id: str) -> str:
    with coordinator.store.read() as view:
        return str(view.scalar(sa.select(schema.tasks.c.server_state).where(schema.tasks.c.id == task_id)) or "")


def _drop_updates(coordinator: Coordinator, task_id: str, number: int) -> None:
    """The updates of a committed round are of no more use, and nobody should be able to look at them."""
    with coordinator.store.read() as view:
        if rows.round_row(view, task_id, number).phase != "committed":
            return
        updates = global_model.counted(view, task_id, number)
    endings.discard(coordinator, task_id, number)
    discard(coordinator, [blobs.update(update.assignment_id, update.sha256) for update in updates])


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
    now = coordinator.store.clock.now()
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        record = rows.round_row(tx, task_id, row.round) if row.round == number else None
        if record is None or record.phase != "aggregating":
            return False
        held = record.worker is not None and record.worker != worker_name() and record.worker_until > now
        if held and is_alive(record.worker):
            return False
        _set_lease(tx, task_id, number, now)
    return True


def _set_lease(tx: sa.Connection, task_id: str, number: int, now: float) -> None:
    tx.execute(
        sa.update(schema.rounds)
        .where(schema.rounds.c.task_id == task_id, schema.rounds.c.number == number)
        .values(worker=worker_name(), worker_until=now + LEASE_SECONDS)
    )


def _release(coordinator: Coordinator, task_id: str, number: int) -> None:
    """Let another worker try."""
    with suppress(FedRelaError), coordinator.store.write() as tx:
        tx.execute(
            sa.update(schema.rounds)
            .where(schema.rounds.c.task_id == task_id, schema.rounds.c.number == number)
            .values(worker=None, worker_until=None)
        )


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
                _set_lease(tx, self._task_id, self._number, self._coordinator.store.clock.now())

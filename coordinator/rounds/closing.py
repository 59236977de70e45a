"""How assignments and rounds end: leases and deadlines that are over, and the commit of a round. One transaction each.

`now` is in seconds of the coordinator's clock and is always passed in.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import isolation, rules, unusable
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.secure import endings, skipping
from fedrela.coordinator.storage import collection, reported, rows, schema, secure_rows
from fedrela.coordinator.storage.rows import Row
from fedrela.core.secure import clipping
from fedrela.core.task import Task

EXPIRING_FAILED = "leases and deadlines can't be ended"
# The failures of an assignment whose update left no finite model, or one with a statistic below its lowest value.
OVERFLOWS = "update-overflows"
BELOW_LOWEST = "statistic-too-low"
_ROUNDS = schema.rounds


def expire(coordinator: Coordinator, now: float) -> int:
    """End the leases and deadlines that are over; return how many tasks changed."""
    assignments, table, tasks = schema.assignments, schema.rounds, schema.tasks
    with coordinator.store.read() as view:
        expired = sa.select(assignments.c.task_id).where(
            assignments.c.status == "open", assignments.c.expires_at <= now
        )
        overdue = (
            sa.select(table.c.task_id)
            .join(tasks, sa.and_(tasks.c.id == table.c.task_id, tasks.c.round == table.c.number))
            .where(table.c.phase == "collecting", table.c.deadline_at <= now, tasks.c.status == "running")
        )
        due = sorted(view.scalars(expired.union(overdue)))
    for task_id in due:
        isolation.attempt(coordinator, task_id, EXPIRING_FAILED, partial(expire_in_task, coordinator, task_id, now))
    return len(due)


def expire_in_task(coordinator: Coordinator, task_id: str, now: float) -> None:
    """The same for one task."""
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        task, leftovers = parse_task(row.task_json), list[str]()
        before, _ = rows.expire_assignments(tx, task_id, rows.as_round(rows.round_row(tx, task_id, row.round)), now)
        after = _expired(tx, row, task, before, now) if row.status == "running" else before
        if after.phase == "skipped":
            leftovers = skipping.skip(tx, row, task, before, _too_few(before, task), now)
        else:
            _save_expired(tx, row, task, before, after, now)
    collection.discard(coordinator, leftovers)
    if after.phase == "aggregating":
        coordinator.wake.set()


def _save_expired(tx: sa.Connection, row: Row, task: Task, before: Round, after: Round, now: float) -> None:
    closed = {"closed_at": now} if after.phase == "aggregating" and before.phase != "aggregating" else {}
    rows.save_round(tx, row.id, after, **closed)
    tried_again = (after.phase, after.attempt) != (before.phase, before.attempt) and after.phase != "aggregating"
    if tried_again and unusable.pause_if_agreed(tx, row, round_is_over=True):
        return
    if after.phase == "failed":
        _pause_failed(tx, row.id, after, task)


def _expired(tx: sa.Connection, row: Row, task: Task, round_: Round, now: float) -> Round:
    """The round after its deadline. Groups that are at work are waited for: their phases end by themselves."""
    if task.privacy.secure == "none":
        after = rules.expire(round_, task.round, now, may_skip=_may_skip(tx, row, task))
        if after.phase == "skipped" and unusable.pause_if_agreed(tx, row, round_is_over=True):
            return rules.expire(round_, task.round, now)  # the next round would begin from the same model
        return after
    if secure_rows.active(tx, row.id, round_.number):
        return round_
    return rules.expire(round_, task.round, now, spent=secure_rows.is_spent(tx, row.id, round_.number))


def _pause_failed(tx: sa.Connection, task_id: str, round_: Round, task: Task) -> None:
    problem = f"round {round_.number} failed {round_.attempt} times: {_too_few(round_, task)}"
    tx.execute(sa.update(schema.tasks).where(schema.tasks.c.id == task_id).values(status="paused", problem=problem))


def _may_skip(tx: sa.Connection, row: Row, task: Task) -> bool:
    """Whether a task's open round may close as skipped: it is not the last, and not one too many in a row."""
    earlier = sa.select(_ROUNDS.c.phase).where(_ROUNDS.c.task_id == row.id, _ROUNDS.c.number < row.round)
    phases = tx.scalars(earlier.order_by(_ROUNDS.c.number.desc()).limit(rules.MAX_SKIPPED_IN_A_ROW)).all()
    skipped = len(list(takewhile(lambda phase: phase == "skipped", phases)))
    return row.round < task.rounds and skipped < rules.MAX_SKIPPED_IN_A_ROW


def _too_few(round_: Round, task: Task) -> str:
    """What a round lacked at its deadline."""
    least = max(task.round.minimum, task.round.smallest_cohort)
    did = "reported before" if task.privacy.secure == "none" else "are in sums at"
    return f"{round_.reported} of at least {least} devices {did} the deadline"


def drop_updates(
    coordinator: Coordinator, task_id: str, number: int, assignment_ids: list[str], code: str, now: float
) -> None:
    """One transaction takes updates out of a round: no usable model came of them. What remains goes on, if enough.

    None are named where the round has those of too few devices; then it collects again.
    """
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        record = rows.round_row(tx, task_id, number)
        before, task = rows.as_round(record), parse_task(row.task_json)
        if row.round != number or before.phase != "aggregating" or row.status == "cancelled":
            return
        dropped = reported.drop(tx, task_id, number, assignment_ids, code, now)
        devices = len(reported.devices_counted_in(tx, task_id, number))
        may_skip = row.status == "running" and _may_skip(tx, row, task)
        after = rules.drop(before, task.round, dropped, devices, now, may_skip=may_skip)
        if after.phase == "collecting" and before.pending:
            reported.count_pending_in(tx, task_id, number)
        leftovers = list[str]()
        if after.phase == "skipped":
            remaining = replace(before, reported=before.reported - dropped)
            leftovers = skipping.skip(tx, row, task, remaining, _too_few(remaining, task), now)
        else:
            rows.save_round(tx, task_id, after, worker=None, worker_until=None)
        if after.phase == "failed":
            _pause_failed(tx, task_id, after, task)
    collection.discard(coordinator, leftovers)


def skip_round(coordinator: Coordinator, task_id: str, number: int, why: str, now: float) -> None:
    """One transaction ends a secure round of whose sums no usable model comes."""
    leftovers = list[str]()
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        round_ = rows.as_round(rows.round_row(tx, task_id, number))
        if row.round == number and round_.phase == "aggregating" and row.status != "cancelled":
            leftovers = skipping.skip(tx, row, parse_task(row.task_json), round_, why, now)
    collection.discard(coordinator, leftovers)


@dataclass(frozen=True)
class AggregationResult:
    """What aggregating a round gave."""

    checkpoint_sha256: str
    checkpoint_bytes: int
    server_state: str
    seconds: float


def commit(coordinator: Coordinator, task_id: str, number: int, result: AggregationResult, now: float) -> bool:
    """One transaction closes the round and opens the next. False if another worker has committed it already."""
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        record = rows.round_row(tx, task_id, number)
        before = rows.as_round(record)
        if row.round != number or before.phase != "aggregating" or row.status == "cancelled":
            return False
        task = parse_task(row.task_json)
        last = number >= task.rounds
        if last or task.round.mode == "synchronous":
            rows.close_open_assignments(tx, task_id, now)
        if task.privacy.secure == "peers":
            endings.close(tx, task_id, number, now)
        committed = rules.commit(before)
        outcome = {"checkpoint_sha256": result.checkpoint_sha256, "aggregation_seconds": result.seconds}
        rows.save_round(tx, task_id, committed, committed_at=now, worker=None, worker_until=None, **outcome)
        advanced: dict[str, Any] = {"round": number + 1, "server_state": result.server_state}
        advanced["problem"] = "" if row.status == "running" else row.problem
        if last:
            advanced |= {"status": "finished", "finished_at": now, "update_norms": "", "server_state": ""}
        else:
            devices = len(reported.devices_counted_in(tx, task_id, number + 1)) if before.pending else 0
            opened = rules.following(before, task.round, now, devices=devices)
            model, clip = (result.checkpoint_sha256, result.checkpoint_bytes), _following_clip(tx, task, record)
            rows.open_round(tx, task_id, opened, rows.Beginning(*model, clip))
            if clip > record.clip_millionths > 0:  # what was clipped may be as much larger now, and is no outlier
                advanced["update_norms"] = reported.grown_norms(row, clip / record.clip_millionths)
        tx.execute(
            sa.update(schema.tasks)
            .where(schema.tasks.c.id == task_id)
            .values(
                checkpoint_sha256=result.checkpoint_sha256,
                checkpoint_bytes=result.checkpoint_bytes,
                **advanced,
            )
        )
    return True


def _following_clip(tx: sa.Connection, task: Task, record: Row) -> int:
    """The clipping norm of the round after one that commits."""
    clipped, members = secure_rows.clipped_of(tx, record.task_id, record.number)
    if not members:
        return int(record.clip_millionths)
    return clipping.following(task.privacy, record.clip_millionths, clipped=clipped, members=members)

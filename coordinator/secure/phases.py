"""How groups go on and end: a phase has all that it waits for, or lasted as long as it may.

A group that breaks up before anything was masked costs nothing: its members send new keys. After that they are not
asked again for this round: training is deterministic, and one update in two sums that differ by a member shows that
member's.
"""

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import isolation, rules
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.secure import gathering, set_aside
from fedrela.coordinator.storage import blobs, collection, rows, schema, secure_rows, secure_schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core.privacy import Privacy
from fedrela.core.secure import group as groups
from fedrela.core.secure.group import Group
from fedrela.core.task import Task

FAILED = "groups can't go on"
_G, _M, _A, _T = secure_schema.groups, secure_schema.members, schema.assignments, schema.tasks


def retry_after_seconds(privacy: Privacy, jitter: float) -> float:
    """When a member that has done its part asks again: 0.5 to 2 s, in a quick task sooner. `jitter`: 0 to 1."""
    return round(max(min(0.5 + 1.5 * jitter, privacy.phase_seconds / 4), 0.02), 3)


def phase_seconds(task: Task, phase: str) -> float:
    """How long a phase lasts at most: for masked updates, which are large, the upload lease."""
    return task.round.upload_lease_seconds if phase == "masking" else task.privacy.phase_seconds


def advance(tx: TaskTransaction, row: Row, group: Group, now: float, *, timed_out: bool = False) -> None:
    """Go on where the group's phase is over; `row`: as it is stored, `group`: with what came just now."""
    after = groups.advance(group, timed_out=timed_out)
    if after.phase == group.phase:
        tx.wakes |= after.phase == "summing"  # one answer more: a sum that could not be opened may be now
        return
    if after.phase == "failed":
        fail(tx, row, "too-few-members", now, failed_in=group.phase)
        return
    until = now + phase_seconds(tx.task, after.phase)
    secure_rows.save_group(tx.connection, row.id, phase=after.phase, phase_until=until)
    index_of = {member.index: member.assignment_id for member in after.roster.members}
    if after.phase == "masking":  # it masked nothing, so it may be asked again
        late = [assignment for index, assignment in index_of.items() if index not in after.shares]
        end_members(tx, late, "expired", "late-in-group", now)
    if after.phase == "agreeing":
        end_members(tx, [index_of[index] for index in after.vanished], "closed", "lost-in-group", now)
    tx.wakes |= after.phase == "summing"


def end_members(tx: TaskTransaction, assignment_ids: Sequence[str], status: str, failure: str, now: float) -> None:
    """End assignments that have not ended yet; each gives its slot back."""
    table = schema.assignments
    for assignment_id in assignment_ids:
        alive = sa.select(table.c.status).where(table.c.id == assignment_id, table.c.status.in_(secure_rows.ALIVE))
        if tx.connection.scalar(alive) is not None:
            tx.write_assignment(assignment_id, status=status, failure=failure, ended_at=now)
            tx.round = rules.release(tx.round)


def fail(tx: TaskTransaction, row: Row, reason: str, now: float, *, failed_in: str, phase: str = "failed") -> None:
    """A group ends without a sum. What its members have sent goes, but what tells them to send new keys."""
    ended = {"phase": phase, "failed_in": failed_in, "reason": reason, "ended_at": now, "worker": None}
    secure_rows.save_group(tx.connection, row.id, **ended)
    members = [member.assignment_id for member in secure_rows.members(tx.connection, row.id)]
    if failed_in == "sharing":
        until = now + gathering.stay_seconds(tx.task.round.upload_lease_seconds)
        still_open = sa.update(_A).where(_A.c.id.in_(members), _A.c.status == "open")
        tx.connection.execute(still_open.values(expires_at=until, compute_until=until))
        tx.connection.execute(sa.update(_M).where(_M.c.group_id == row.id).values(commitment=None, sealed=None))
        return
    tx.leftovers += masked_bodies(tx.connection, members)
    if phase == "dropped":
        in_sum = sa.select(_A.c.id).where(_A.c.id.in_(members), _A.c.status == "masked")
        set_aside.note_left_out(tx, list(tx.connection.scalars(in_sum)), now)
    end_members(tx, members, "closed", reason, now)
    secure_rows.forget_members(tx.connection, row.id)


def masked_bodies(connection: sa.Connection, assignment_ids: Sequence[str]) -> list[str]:
    """The blobs of their updates."""
    query = sa.select(_A.c.id, _A.c.update_sha256).where(_A.c.id.in_(assignment_ids), _A.c.update_sha256.is_not(None))
    return [blobs.update(row.id, row.update_sha256) for row in connection.execute(query)]


def tick(coordinator: Coordinator, now: float) -> int:
    """End the phases that lasted as long as they may, and form groups that are due; return how many tasks changed."""
    with coordinator.store.read() as view:
        due = _overdue(view, now) | _gathered(view, now)
    for task_id in sorted(due):
        isolation.attempt(coordinator, task_id, FAILED, partial(_tick, coordinator, task_id, now))
    return len(due)


def _tick(coordinator: Coordinator, task_id: str, now: float) -> None:
    with coordinator.store.write() as connection:
        tx = TaskTransaction(coordinator, connection, task_id)
        if tx.row.round > tx.task.rounds:
            return
        for row in secure_rows.active(connection, task_id, tx.round.number):
            if row.phase != "summing" and now >= row.phase_until:
                advance(tx, row, secure_rows.as_group(connection, row, 1), now, timed_out=True)
        tx.sweep_leases(now)
        gathering.form(tx, now)
        tx.flush(now)
    collection.discard(coordinator, tx.leftovers)
    if tx.awaits_aggregation:
        coordinator.wake.set()


def _overdue(view: sa.Connection, now: float) -> set[str]:
    """The tasks with a group whose phase has lasted as long as it may; what is summed is for its worker."""
    in_time = [phase for phase in secure_rows.ACTIVE if phase != "summing"]
    query = sa.select(_G.c.task_id).where(_G.c.phase.in_(in_time), _G.c.phase_until <= now)
    return set(view.scalars(query.distinct()))


def _gathered(view: sa.Connection, now: float) -> set[str]:
    """The tasks in whose open round enough devices wait for a group."""
    waiting = sa.select(_M.c.task_id).where(_M.c.group_id.is_(None)).distinct()
    tasks = view.execute(sa.select(_T).where(_T.c.id.in_(waiting), _T.c.status.in_(("running", "paused")))).all()
    due = set()
    for row in tasks:
        round_ = rows.as_round(rows.round_row(view, row.id, row.round))
        if gathering.room(view, row.id, parse_task(row.task_json), round_, now).sizes:
            due.add(row.id)
    return due

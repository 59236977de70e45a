"""The sum of a group, from what is stored: the masked updates of its survivors and what was revealed.

Runs in a worker thread, never in a request. Integers give the same bits in whatever order, so several workers may sum
one group (a lease makes it rare), and one that was killed starts over; the first to store a sum wins.
"""

import logging
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import isolation, rules
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.rounds.workers import is_alive, worker_name
from fedrela.coordinator.secure import phases, set_aside
from fedrela.coordinator.storage import blobs, collection, reported, rows, schema, secure_rows, secure_schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core import signing
from fedrela.core.aggregation import outliers
from fedrela.core.errors import IntegrityError, InvalidInput
from fedrela.core.secure import fixed_point, masked_body, secure_tasks, unmasking
from fedrela.core.secure.fixed_point import Total
from fedrela.core.secure.group import Group
from fedrela.core.secure.pads import Words

FAILED = "a group can't be summed"
OUT_OF_BOUNDS = "sum-out-of-bounds"
LEASE_SECONDS = 60.0  # of a worker on a group, in real time
_G, _A, _T, _R = secure_schema.groups, schema.assignments, schema.tasks, schema.rounds
log = logging.getLogger("fedrela.coordinator")


@dataclass(frozen=True)
class Sum:
    """What a group gave. `words`: the sum of its vectors, little-endian int32; `suspects`: members that lied."""

    words: bytes
    total: Total
    members: dict[int, str]  # the survivors' assignments
    suspects: tuple[str, ...]


def run_due(coordinator: Coordinator) -> int:
    """Sum every group that waits for it and that no other worker holds. Returns how many moved on."""
    with coordinator.aggregating:
        return sum(
            bool(isolation.attempt(coordinator, row.task_id, FAILED, partial(_run, coordinator, row)))
            for row in _due(coordinator)
        )


def _due(coordinator: Coordinator) -> list[Row]:
    with coordinator.store.read() as view:
        query = sa.select(_G).join(_T, _T.c.id == _G.c.task_id)
        waits = query.where(_G.c.phase == "summing", _T.c.status.in_(("running", "paused")))
        return list(view.execute(waits.order_by(_G.c.formed_at, _G.c.id)))


def _run(coordinator: Coordinator, row: Row) -> bool:
    if not _claim(coordinator, row):
        return False
    try:
        return _sum_and_store(coordinator, row)
    finally:
        _release(coordinator, row)


def _sum_and_store(coordinator: Coordinator, row: Row) -> bool:
    """Whether the group has ended, with a sum or without."""
    with coordinator.store.read() as view:
        task_row = view.execute(sa.select(_T).where(_T.c.id == row.task_id)).one()
        clip = rows.round_row(view, row.task_id, row.round).clip_millionths
        group = secure_rows.as_group(view, row)
        bodies = _bodies(view, group)
    task = parse_task(task_row.task_json)
    layout = secure_tasks.layout(task, coordinator.manifest(task_row.manifest_sha256), clip)
    try:
        opened = unmasking.open_secrets(group)
    except IntegrityError as error:
        now = coordinator.store.now()
        if now < row.phase_until and len(group.reveals) < len(group.survivors):
            return False  # more answers may come
        log.warning("a group's sum can't be opened", extra={"group": row.id, "problem": error.problem})
        return _end(coordinator, row, "not-opened", now)
    words = unmasking.unmask(_masked(coordinator, bodies, layout.size), group, opened)
    suspects = tuple(group.roster.member(index).assignment_id for index in liars(group, opened.disagreements))
    if suspects:
        log.warning("members revealed wrong shares", extra={"group": row.id, "assignments": suspects})
    least = secure_tasks.least_weight(task)
    try:
        total = fixed_point.decode(layout, words, members=len(group.survivors), least_weight=least)
    except InvalidInput as error:
        log.warning("a group's sum is left out", extra={"group": row.id, "problem": error.problem})
        return _end(coordinator, row, OUT_OF_BOUNDS, coordinator.store.now(), phase="dropped")
    of_survivors = {index: group.roster.member(index).assignment_id for index in group.survivors}
    return _store(coordinator, row, Sum(words.astype("<i4").tobytes(), total, of_survivors, suspects))


def liars(group: Group, disagreements: frozenset[tuple[int, int]]) -> list[int]:
    """Who answered wrongly for more than half of the secrets, or shared a secret that most answers don't fit."""
    secrets = len(group.survivors) + len(group.vanished)
    answered = Counter(answerer for _, answerer in disagreements)
    shared = Counter(owner for owner, _ in disagreements)
    wrong = {index for index, count in answered.items() if 2 * count > secrets}
    wrong |= {index for index, count in shared.items() if 2 * count > len(group.reveals)}
    return sorted(wrong)


def _bodies(view: sa.Connection, group: Group) -> list[str]:
    """The blobs of the survivors' masked updates."""
    names = phases.masked_bodies(view, [group.roster.member(index).assignment_id for index in group.survivors])
    if len(names) != len(group.survivors):
        raise IntegrityError("a masked update is not on record", remedy="restore the database from a backup")
    return names


def _masked(coordinator: Coordinator, names: list[str], size: int) -> Iterator[Words]:
    """The words of one update after the other, each checked against its hash."""
    for name in names:
        yield masked_body.from_bytes(blobs.needed(coordinator.blobs, name), size)[0]


def _store(coordinator: Coordinator, row: Row, result: Sum) -> bool:
    """One transaction: the group's sum counts, its members have reported, and what they sent goes."""
    sha256 = signing.sha256(result.words)
    coordinator.blobs.put(blobs.update(row.id, sha256), result.words)
    now = coordinator.store.now()
    with coordinator.store.write() as connection:
        tx = TaskTransaction(coordinator, connection, row.task_id)
        current = secure_rows.group(connection, row.id)
        if current.phase != "summing" or (tx.round.number, tx.round.phase) != (row.round, "collecting"):
            return False  # another worker was quicker, or the round has what it waits for and ends without this group
        norm, usual = _mean_norm(result.total), reported.norms(tx.row)
        if norm > outliers.largest_group_norm(usual):
            phases.fail(tx, current, OUT_OF_BOUNDS, now, failed_in="summing", phase="dropped")
        else:
            tx.round = rules.report_group(tx.round, tx.task.round, len(result.members), tx.task.privacy.group_minimum)
            tx.remember_norm(norm)
            _report(tx, current, sha256, result, now)
        tx.flush(now)
    collection.discard(coordinator, tx.leftovers)
    if tx.round.phase == "aggregating":
        coordinator.wake.set()
    return True


def _mean_norm(total: Total) -> float:
    """The L2 norm of the group's mean update, of its parameters."""
    return math.sqrt(float(np.sum(np.square(total.blocks[0])))) / total.extras.weight


def _report(tx: TaskTransaction, row: Row, sha256: str, result: Sum, now: float) -> None:
    """The rows of a group whose sum is stored."""
    summed = list(result.members.values())
    tx.leftovers += phases.masked_bodies(tx.connection, summed)
    tx.connection.execute(
        sa.update(_A)
        .where(_A.c.id.in_(summed), _A.c.status == "masked")
        .values(status="reported", ended_at=now, counted_in=row.round)
    )
    extras = result.total.extras
    ended = {"phase": "summed", "ended_at": now, "worker": None, "survivors": len(summed), "clipped": extras.clipped}
    suspects = " ".join(result.suspects)
    secure_rows.save_group(tx.connection, row.id, sum_sha256=sha256, suspects=suspects, **ended)
    secure_rows.forget_members(tx.connection, row.id)
    set_aside.note_counted(tx, summed)
    if fixed_point.counts_evaluation(extras, len(summed)):
        of_round = (_R.c.task_id == row.task_id, _R.c.number == row.round)
        tx.connection.execute(
            sa.update(_R)
            .where(*of_round)
            .values(
                evaluation_loss_sum=_R.c.evaluation_loss_sum + extras.eval_loss,
                evaluation_correct=_R.c.evaluation_correct + extras.eval_correct,
                evaluation_examples=_R.c.evaluation_examples + extras.eval_examples,
            )
        )


def _end(coordinator: Coordinator, row: Row, reason: str, now: float, phase: str = "failed") -> bool:
    """The group gives no sum."""
    with coordinator.store.write() as connection:
        tx = TaskTransaction(coordinator, connection, row.task_id)
        current = secure_rows.group(connection, row.id)
        if current.phase != "summing":
            return False
        phases.fail(tx, current, reason, now, failed_in="summing", phase=phase)
        tx.flush(now)
    collection.discard(coordinator, tx.leftovers)
    return True


def _claim(coordinator: Coordinator, row: Row) -> bool:
    """Take the group's lease unless a living worker has it."""
    now = coordinator.store.clock.now()
    with coordinator.store.write(durable=False) as tx:
        rows.lock_task(tx, row.task_id)
        current = secure_rows.group(tx, row.id)
        held = current.worker is not None and current.worker != worker_name() and current.worker_until > now
        if current.phase != "summing" or (held and is_alive(current.worker)):
            return False
        secure_rows.save_group(tx, row.id, worker=worker_name(), worker_until=now + LEASE_SECONDS)
    return True


def _release(coordinator: Coordinator, row: Row) -> None:
    """Let another worker try."""
    with coordinator.store.write(durable=False) as tx:
        mine = sa.update(_G).where(_G.c.id == row.id, _G.c.worker == worker_name())
        tx.execute(mine.values(worker=None, worker_until=None))

"""Where the rules of a round meet storage. Each operation is one transaction: it happens whole or not at all.

    publish ──► join ──► begin_upload ──► accept_update ──► (aggregation.py) ──► commit ──► the next round
                 │                            ▲
                 └── report_failure           └── tick: leases and deadlines

May import `core`, SQLAlchemy and the storage modules of this package; knows nothing of HTTP.
`now` is in seconds of the coordinator's clock and is always passed in.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError as ConstraintError

from coordinator import auth, blobs, devices, offers, rounds, rows, schema, selection, uploads
from coordinator.context import Coordinator, parse_task
from coordinator.devices import Device
from coordinator.rounds import Round
from coordinator.rows import Row
from coordinator.uploads import Upload
from core import encodings, signing
from core.errors import Refused
from core.task import Task
from core.wire import Assignment, CheckIn, FailureReport, UpdateReceipt, Wait

_NEW_TURN = sa.insert(schema.assignments)
_LAST_TURN = (
    sa.update(schema.devices)
    .where(schema.devices.c.id == sa.bindparam("device"))
    .values(last_turn_at=sa.bindparam("now"))
)


def join(c: Coordinator, authorization: str | None, check_in: CheckIn, now: float) -> Assignment | Wait:
    """Give the device a turn, the turn it has already, or a time to come back. Writes only if it gives a new turn."""
    selection.version(check_in.client_version)
    with c.store.read() as view:
        device = devices.identify(view, authorization)
        if check_in.population != device.population:
            raise _wrong_population(device)
        held = device.open_turn
        if held is not None and held.expires_at > now:
            return offers.resumed(c, view, device, held, check_in, now)
        if held is None:
            wanted, wait = offers.offers(c, view, device, check_in, now)
    if held is not None:  # its lease is over, but nobody has swept it yet
        _tick_task(c, held.task_id, now)
        with c.store.read() as view:
            wanted, wait = offers.offers(c, view, device, check_in, now)
    for task_id in wanted:
        assignment = _take_slot(c, device, task_id, check_in, now)
        if assignment is not None:
            return assignment
    return wait


def _wrong_population(device: Device) -> Refused:
    return Refused(
        f"this device belongs to the population {device.population!r}",
        remedy="check in for that one, or enrol with another link",
        code="wrong-population",
        status=403,
    )


def _take_slot(c: Coordinator, device: Device, task_id: str, check_in: CheckIn, now: float) -> Assignment | None:
    """One transaction: look again under the lock, then take the slot. None if it is gone."""
    try:
        with c.store.write() as tx:
            row = rows.lock_task(tx, task_id)
            if row.status != "running" or row.round > parse_task(row.task_json).rounds:
                return None
            task = parse_task(row.task_json)
            record = rows.round_row(tx, task_id, row.round)
            round_, _ = rows.expire_turns(tx, task_id, rows.as_round(record), now)
            candidate = offers.candidate_of(device, check_in, offers.had_turn(tx, task_id, device.id))
            if selection.refusal(task, c.manifest(row.manifest_sha256), candidate, round_, now) is not None:
                rows.save_round(tx, task_id, round_)
                return None
            rows.save_round(tx, task_id, rounds.join(round_, task.round, now))
            assignment_id = auth.new_id("a")
            _insert_turn(tx, assignment_id, task_id, row.round, device.id, task, now)
        return offers.assignment(c, row, record, assignment_id, task.round.compute_lease_seconds)
    except ConstraintError:
        return None  # the same device took a turn through another connection at this very moment


def _insert_turn(
    tx: sa.Connection, assignment_id: str, task_id: str, number: int, device_id: str, task: Task, now: float
) -> None:
    until = now + task.round.compute_lease_seconds
    turn = {"id": assignment_id, "task_id": task_id, "round": number, "device_id": device_id, "assigned_at": now}
    tx.execute(_NEW_TURN, turn | {"status": "open", "compute_until": until, "expires_at": until, "evaluated": False})
    tx.execute(_LAST_TURN, {"device": device_id, "now": now})


def accept_update(c: Coordinator, upload: Upload, body: bytes, now: float) -> UpdateReceipt:
    """Check the body, store it, then count it; the same body again is answered and counted once.

    Raises InvalidTensors or InvalidMessage (nothing is stored), or Refused where the turn ended meanwhile.
    """
    sha256 = signing.sha256(body)
    if upload.stored_sha256 is None:
        _, metadata = encodings.decode(body, upload.manifest.weights, upload.task.aggregation.encoding)
        c.blobs.put(blobs.update(upload.assignment_id, sha256), body)
        counted = {"examples": metadata.examples, "update_sha256": sha256, "update_bytes": len(body)}
        counted["update_digest"] = blobs.quick_digest(body)
    else:
        counted = {"update_sha256": sha256}  # only to be compared
    with c.store.write() as tx:
        row = rows.lock_task(tx, upload.task_id)
        turn = rows.current_turn(tx, upload.assignment_id, upload.device_id)
        if turn.status == "reported":
            return uploads.repeated(turn, sha256)
        uploads.check_turn(turn, now)
        round_ = _count(tx, row, upload.task, turn, counted, now)
    if round_ is None:
        raise uploads.too_stale(upload.task)
    if round_.phase == "aggregating":
        c.wake.set()
    return UpdateReceipt(turn.round)


def _count(tx: sa.Connection, row: Row, task: Task, turn: Row, counted: dict[str, Any], now: float) -> Round | None:
    """Move one open turn to reported; or, where its start weights are too old, end it and return None."""
    record = rows.round_row(tx, row.id, row.round)
    before = rows.as_round(record)
    if rounds.counts_in(before) > task.rounds:
        raise uploads.ended("closed")
    if task.round.mode == "asynchronous" and _is_stale(task, before, turn.round):
        rows.end_turn(tx, turn.id, "failed", now, failure="too-stale")
        rows.save_round(tx, row.id, rounds.release(before))
        return None
    after = rounds.report(before, task.round)
    rows.end_turn(tx, turn.id, "reported", now, counted_in=rounds.counts_in(before), **counted)
    closed = {"closed_at": now} if after.phase != before.phase else {}
    rows.save_round(tx, row.id, after, update_bytes=record.update_bytes + counted["update_bytes"], **closed)
    return after


def _is_stale(task: Task, round_: Round, base_round: int) -> bool:
    return rounds.staleness(rounds.counts_in(round_), base_round) > task.round.max_staleness


def report_failure(c: Coordinator, device: Device, assignment_id: str, report: FailureReport, now: float) -> None:
    """A device gives its slot back. Saying it again is no fault; saying it after an update is."""
    with c.store.read() as view:
        task_id = rows.current_turn(view, assignment_id, device.id).task_id
    with c.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        turn = rows.current_turn(tx, assignment_id, device.id)
        if turn.status == "reported":
            raise Refused(
                "this turn has reported already",
                remedy="report a failure or an update, not both",
                code="already-reported",
                status=409,
            )
        if turn.status != "open":
            return
        rows.end_turn(tx, turn.id, "failed", now, failure=report.code)
        rows.save_round(tx, row.id, rounds.release(rows.as_round(rows.round_row(tx, row.id, row.round))))


def tick(c: Coordinator, now: float) -> int:
    """End the leases and deadlines that are over; return how many tasks changed."""
    turns, table, tasks = schema.assignments, schema.rounds, schema.tasks
    with c.store.read() as view:
        expired = sa.select(turns.c.task_id).where(turns.c.status == "open", turns.c.expires_at <= now)
        overdue = (
            sa.select(table.c.task_id)
            .join(tasks, sa.and_(tasks.c.id == table.c.task_id, tasks.c.round == table.c.number))
            .where(table.c.phase == "collecting", table.c.deadline_at <= now, tasks.c.status == "running")
        )
        due = sorted(view.scalars(expired.union(overdue)))
    for task_id in due:
        _tick_task(c, task_id, now)
    return len(due)


def _tick_task(c: Coordinator, task_id: str, now: float) -> None:
    with c.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        task = parse_task(row.task_json)
        before, _ = rows.expire_turns(tx, task_id, rows.as_round(rows.round_row(tx, task_id, row.round)), now)
        after = rounds.tick(before, task.round, now) if row.status == "running" else before
        closed = {"closed_at": now} if after.phase == "aggregating" and before.phase != "aggregating" else {}
        rows.save_round(tx, task_id, after, **closed)
        if after.phase == "failed":
            problem = (
                f"round {after.number} failed {after.attempt} times: {after.reported} of at least "
                f"{task.round.minimum} devices reported before the deadline"
            )
            tx.execute(
                sa.update(schema.tasks).where(schema.tasks.c.id == task_id).values(status="paused", problem=problem)
            )
    if after.phase == "aggregating":
        c.wake.set()


@dataclass(frozen=True)
class Result:
    """What aggregating a round gave."""

    checkpoint_sha256: str
    checkpoint_bytes: int
    server_state: str
    seconds: float


def commit(c: Coordinator, task_id: str, number: int, result: Result, now: float) -> bool:
    """One transaction closes the round and opens the next. False if another worker has committed it already."""
    with c.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        record = rows.round_row(tx, task_id, number)
        before = rows.as_round(record)
        if row.round != number or before.phase != "aggregating" or row.status == "cancelled":
            return False
        task = parse_task(row.task_json)
        last = number >= task.rounds
        if last or task.round.mode == "synchronous":
            rows.close_open_turns(tx, task_id, now)
        committed = rounds.commit(before)
        outcome = {"checkpoint_sha256": result.checkpoint_sha256, "aggregation_seconds": result.seconds}
        rows.save_round(tx, task_id, committed, committed_at=now, worker=None, worker_until=None, **outcome)
        advanced: dict[str, Any] = {"round": number + 1, "problem": "" if row.status == "running" else row.problem}
        if last:
            advanced |= {"status": "finished", "finished_at": now}
        else:
            opened = rounds.following(before, task.round, now)
            rows.open_round(tx, task_id, opened, result.checkpoint_sha256, result.checkpoint_bytes)
        tx.execute(
            sa.update(schema.tasks)
            .where(schema.tasks.c.id == task_id)
            .values(
                checkpoint_sha256=result.checkpoint_sha256,
                checkpoint_bytes=result.checkpoint_bytes,
                server_state=result.server_state,
                **advanced,
            )
        )
    return True

"""Where the rules of a round meet storage. Each operation is one transaction: it happens whole or not at all.

    publish ──► join ──► begin_upload ──► accept_update ──► (aggregation.py) ──► commit ──► the next round
                 │                            ▲
                 └── report_failure           └── tick: leases and deadlines

May import `core`, SQLAlchemy and the storage modules of this package; knows nothing of HTTP.
`now` is in seconds of the coordinator's clock and is always passed in.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError as ConstraintError

from coordinator import auth, blobs, rounds, rows, schema, selection
from coordinator.context import Coordinator, parse_task
from coordinator.rounds import Round
from coordinator.rows import Row
from coordinator.selection import Candidate
from core import encodings, signing
from core.bundle import Manifest
from core.errors import Refused
from core.task import Task
from core.wire import Assignment, CheckIn, FailureReport, UpdateReceipt, Wait

TURN_ENDED = {
    "failed": ("turn-failed", "this turn was given back"),
    "expired": ("lease-expired", "the lease of this turn is over"),
    "closed": ("round-closed", "the round was closed without this turn"),
}


@dataclass(frozen=True)
class Device:
    """An authenticated device."""

    id: str
    population: str
    last_turn_at: float | None


@dataclass(frozen=True)
class Upload:
    """Permission to send one update: what is allowed, and how long it may take."""

    assignment_id: str
    task_id: str
    device_id: str
    task: Task
    manifest: Manifest
    max_bytes: int
    seconds: float
    stored_sha256: str | None  # an update was accepted before


def join(c: Coordinator, device: Device, check_in: CheckIn, now: float) -> Assignment | Wait:
    """Give the device a turn, the turn it has already, or a time to come back. Writes only if it gives a new turn."""
    if check_in.population != device.population:
        raise Refused(
            f"this device belongs to the population {device.population!r}",
            remedy="check in for that one, or enrol with another link",
            code="wrong-population",
            status=403,
        )
    selection.version(check_in.client_version)
    with c.store.read() as view:
        held = _open_turn(view, device.id)
        if held is not None and held.expires_at > now:
            return _resumed(c, view, device, held, check_in, now)
        wanted, wait = _offers(c, view, device, check_in, now)
    if held is not None and wanted:
        _tick_task(c, held.task_id, now)  # its lease is over, but nobody has swept it yet
    for task_id in wanted:
        assignment = _take_slot(c, device, task_id, check_in, now)
        if assignment is not None:
            return assignment
    return wait


def _open_turn(view: sa.Connection, device_id: str) -> Row | None:
    table = schema.assignments
    return view.execute(sa.select(table).where(table.c.device_id == device_id, table.c.status == "open")).one_or_none()


def _resumed(
    c: Coordinator, view: sa.Connection, device: Device, held: Row, check_in: CheckIn, now: float
) -> Assignment | Wait:
    """A device that lost its assignment gets the same one, with what is left of its lease."""
    task = view.execute(sa.select(schema.tasks).where(schema.tasks.c.id == held.task_id)).one()
    if task.status != "running":
        return _wait("paused", parse_task(task.task_json), _candidate(device, check_in), c, now)
    return _assignment(c, task, rows.round_row(view, held.task_id, held.round), held.id, held.compute_until - now)


def _offers(
    c: Coordinator, view: sa.Connection, device: Device, check_in: CheckIn, now: float
) -> tuple[list[str], Wait]:
    """The tasks that want the device, the emptiest first, and the answer if none does."""
    tasks, table = schema.tasks, schema.rounds
    found = view.execute(
        sa.select(tasks.c.id.label("task"), tasks.c.status, tasks.c.task_json, tasks.c.manifest_sha256, table)
        .outerjoin(table, sa.and_(table.c.task_id == tasks.c.id, table.c.number == tasks.c.round))
        .where(tasks.c.population == device.population, tasks.c.status != "cancelled")
        .order_by(tasks.c.created_at, tasks.c.id)
    ).all()
    wanted: list[tuple[float, str]] = []
    waits: list[tuple[selection.Reason, Task | None]] = []
    for row in found:
        task = parse_task(row.task_json)
        if row.status != "running":
            waits.append(("paused" if row.status == "paused" else "finished", task))
            continue
        had = _had_turn(view, row.task, row.number, device.id)
        candidate = _candidate(device, check_in, had)
        reason = selection.refusal(task, c.manifest(row.manifest_sha256), candidate, rows.as_round(row), now)
        if reason is None:
            wanted.append(((row.open + row.reported) / rounds.slots(task.round), row.task))
        else:
            waits.append((reason, task))
    candidate = _candidate(device, check_in)
    # Of several answers the one that lets the device come back soonest is right.
    options = [_wait(reason, task, candidate, c, now) for reason, task in waits] or [
        _wait("no-task", None, candidate, c, now)
    ]
    return [task_id for _, task_id in sorted(wanted)], min(options, key=_usefulness)


def _usefulness(wait: Wait) -> tuple[bool, float]:
    return wait.reason in ("finished", "paused"), wait.retry_after_seconds


def _had_turn(view: sa.Connection, task_id: str, number: int, device_id: str) -> bool:
    """Whether the device has had its turn in this round. A turn whose lease ran out may be taken again."""
    table = schema.assignments
    return bool(
        view.scalar(
            sa.select(
                sa.exists().where(
                    table.c.device_id == device_id,
                    table.c.task_id == task_id,
                    table.c.round == number,
                    table.c.status.in_(("reported", "failed", "closed")),
                )
            )
        )
    )


def _candidate(device: Device, check_in: CheckIn, had_turn: bool = False) -> Candidate:
    return Candidate(device.id, check_in.client_version, check_in.runtimes, device.last_turn_at, had_turn)


def _wait(reason: selection.Reason, task: Task | None, candidate: Candidate, c: Coordinator, now: float) -> Wait:
    seconds = selection.retry_after_seconds(reason, task, candidate, now, c.settings.idle_retry_seconds)
    return Wait(seconds, reason)


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
            candidate = _candidate(device, check_in, _had_turn(tx, task_id, row.round, device.id))
            if selection.refusal(task, c.manifest(row.manifest_sha256), candidate, round_, now) is not None:
                rows.save_round(tx, task_id, round_)
                return None
            rows.save_round(tx, task_id, rounds.join(round_, task.round, now))
            assignment_id = auth.new_id("a")
            _insert_turn(tx, assignment_id, task_id, row.round, device.id, task, now)
        return _assignment(c, row, record, assignment_id, task.round.compute_lease_seconds)
    except ConstraintError:
        return None  # the same device took a turn through another connection at this very moment


def _insert_turn(
    tx: sa.Connection, assignment_id: str, task_id: str, number: int, device_id: str, task: Task, now: float
) -> None:
    until = now + task.round.compute_lease_seconds
    tx.execute(
        sa.insert(schema.assignments).values(
            id=assignment_id,
            task_id=task_id,
            round=number,
            device_id=device_id,
            status="open",
            assigned_at=now,
            compute_until=until,
            expires_at=until,
            evaluated=False,
        )
    )
    tx.execute(sa.update(schema.devices).where(schema.devices.c.id == device_id).values(last_turn_at=now))


def _assignment(c: Coordinator, task: Row, record: Row, assignment_id: str, lease_seconds: float) -> Assignment:
    settings = parse_task(task.task_json).round
    unsigned = Assignment(
        assignment_id=assignment_id,
        task_id=task.id,
        round=record.number,
        task_sha256=task.task_sha256,
        manifest_sha256=task.manifest_sha256,
        checkpoint_sha256=record.base_checkpoint_sha256,
        checkpoint_bytes=record.base_checkpoint_bytes,
        compute_lease_seconds=round(max(lease_seconds, 0.0), 3),
        upload_lease_seconds=settings.upload_lease_seconds,
        upload_token=auth.upload_token(c.settings.signing_key, assignment_id),
    )
    signature = _signature(c.settings.signing_key, unsigned.message())
    return Assignment(**{**unsigned.__dict__, "signature": signature})


@lru_cache(maxsize=1024)
def _signature(signing_key: str, message: bytes) -> str:
    """All devices of a round run the same programs on the same weights: one signature serves them all."""
    return signing.sign(signing_key, message)


def begin_upload(
    c: Coordinator, device: Device, assignment_id: str, token: str, length: int | None, now: float
) -> Upload:
    """Check token, phase, lease and length before a byte of the body is read. Extends a lease that is nearly over."""
    if not auth.same(token, auth.upload_token(c.settings.signing_key, assignment_id)):
        raise Refused(
            "the upload token is missing or not that of this assignment",
            remedy="send the token of the assignment in Fedrela-Upload-Token",
            code="bad-upload-token",
            status=403,
        )
    with c.store.read() as view:
        turn = rows.current_turn(view, assignment_id, device.id)
        row = view.execute(sa.select(schema.tasks).where(schema.tasks.c.id == turn.task_id)).one()
    task, manifest = parse_task(row.task_json), c.manifest(row.manifest_sha256)
    _check_turn(turn, now)
    max_bytes = encodings.max_body_bytes(manifest.weights)
    _check_length(length, max_bytes)
    seconds = task.round.upload_lease_seconds
    if turn.status == "open" and turn.expires_at - now < seconds:
        seconds = _extend_lease(c, turn, now, seconds)
    return Upload(turn.id, turn.task_id, device.id, task, manifest, max_bytes, seconds, turn.update_sha256)


def _check_turn(turn: Row, now: float) -> None:
    """Raise Refused(409) unless the turn is open or has reported."""
    status = "expired" if turn.status == "open" and now >= turn.expires_at else turn.status
    if status in TURN_ENDED:
        raise _ended(status)


def _ended(status: str) -> Refused:
    code, problem = TURN_ENDED[status]
    return Refused(problem, remedy="drop this update and check in again", code=code, status=409)


def _check_length(length: int | None, max_bytes: int) -> None:
    if length is None:
        raise Refused(
            "the update has no Content-Length", remedy="send its length first", code="length-required", status=411
        )
    if length > max_bytes:
        raise Refused(
            f"the update has {length} bytes, this model's have at most {max_bytes}",
            remedy="send only the tensors of the manifest, in the task's encoding",
            code="too-large",
            status=413,
        )


def _extend_lease(c: Coordinator, turn: Row, now: float, upload_seconds: float) -> float:
    """Once, where the compute lease ends before the upload lease would. Returns the seconds that are left."""
    if turn.expires_at > turn.compute_until:
        return float(turn.expires_at - now)
    table = schema.assignments
    with c.store.write() as tx:
        extended = tx.execute(
            sa.update(table)
            .where(table.c.id == turn.id, table.c.status == "open", table.c.expires_at == turn.expires_at)
            .values(expires_at=now + upload_seconds)
        )
    return upload_seconds if extended.rowcount else float(max(turn.expires_at - now, 0.001))


def accept_update(c: Coordinator, upload: Upload, body: bytes, now: float) -> UpdateReceipt:
    """Check the body, store it, then count it; the same body again is answered and counted once.

    Raises InvalidTensors or InvalidMessage (nothing is stored), or Refused where the turn ended meanwhile.
    """
    sha256 = signing.sha256(body)
    if upload.stored_sha256 is None:
        _, metadata = encodings.decode(body, upload.manifest.weights, upload.task.aggregation.encoding)
        c.blobs.put(blobs.update(upload.assignment_id, sha256), body)
        counted = {"examples": metadata.examples, "update_sha256": sha256, "update_bytes": len(body)}
    else:
        counted = {"update_sha256": sha256}  # only to be compared
    with c.store.write() as tx:
        row = rows.lock_task(tx, upload.task_id)
        turn = rows.current_turn(tx, upload.assignment_id, upload.device_id)
        if turn.status == "reported":
            return _repeated(turn, sha256)
        _check_turn(turn, now)
        round_ = _count(tx, row, upload.task, turn, counted, now)
    if round_ is None:
        raise _stale(upload.task)
    if round_.phase == "aggregating":
        c.wake.set()
    return UpdateReceipt(turn.round)


def _count(tx: sa.Connection, row: Row, task: Task, turn: Row, counted: dict[str, Any], now: float) -> Round | None:
    """Move one open turn to reported; or, where its start weights are too old, end it and return None."""
    record = rows.round_row(tx, row.id, row.round)
    before = rows.as_round(record)
    if rounds.counts_in(before) > task.rounds:
        raise _ended("closed")
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


def _stale(task: Task) -> Refused:
    return Refused(
        f"the global model has moved on by more than {task.round.max_staleness} rounds",
        remedy="drop this update and check in again",
        code="too-stale",
        status=409,
    )


def _repeated(turn: Row, sha256: str) -> UpdateReceipt:
    if turn.update_sha256 != sha256:
        raise Refused(
            "another update was accepted for this assignment",
            remedy="send one update per assignment; check in for the next turn",
            code="already-reported",
            status=409,
        )
    return UpdateReceipt(turn.round, duplicate=True)


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
        advanced: dict[str, Any] = {"round": number + 1, "problem": ""}
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

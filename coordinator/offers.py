"""What a device that checks in is offered: read only. May import `core`, SQLAlchemy and this package's storage."""

from functools import lru_cache

import sqlalchemy as sa

from coordinator import auth, rounds, rows, schema, selection
from coordinator.context import Coordinator, parse_task
from coordinator.devices import Device
from coordinator.rows import Row
from coordinator.selection import Candidate
from core import signing
from core.task import Task
from core.wire import Assignment, CheckIn, Wait


def open_turn(view: sa.Connection, device_id: str) -> Row | None:
    table = schema.assignments
    return view.execute(sa.select(table).where(table.c.device_id == device_id, table.c.status == "open")).one_or_none()


def resumed(
    c: Coordinator, view: sa.Connection, device: Device, held: Row, check_in: CheckIn, now: float
) -> Assignment | Wait:
    """A device that lost its assignment gets the same one, with what is left of its lease."""
    task = view.execute(sa.select(schema.tasks).where(schema.tasks.c.id == held.task_id)).one()
    if task.status != "running":
        return _wait("paused", parse_task(task.task_json), candidate_of(device, check_in), c, now)
    return assignment(c, task, rows.round_row(view, held.task_id, held.round), held.id, held.compute_until - now)


def offers(
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
        had = had_turn(view, row.task, row.number, device.id)
        candidate = candidate_of(device, check_in, had)
        reason = selection.refusal(task, c.manifest(row.manifest_sha256), candidate, rows.as_round(row), now)
        if reason is None:
            waits.append(("round-full", task))  # the answer if another device is quicker
            wanted.append(((row.open + row.reported) / rounds.slots(task.round), row.task))
        else:
            waits.append((reason, task))
    candidate = candidate_of(device, check_in)
    # Of several answers the one that lets the device come back soonest is right.
    options = [_wait(reason, task, candidate, c, now) for reason, task in waits] or [
        _wait("no-task", None, candidate, c, now)
    ]
    return [task_id for _, task_id in sorted(wanted)], min(options, key=_usefulness)


def _usefulness(wait: Wait) -> tuple[bool, float]:
    return wait.reason in ("finished", "paused"), wait.retry_after_seconds


def had_turn(view: sa.Connection, task_id: str, number: int, device_id: str) -> bool:
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


def candidate_of(device: Device, check_in: CheckIn, had_turn: bool = False) -> Candidate:
    return Candidate(device.id, check_in.client_version, check_in.runtimes, device.last_turn_at, had_turn)


def _wait(reason: selection.Reason, task: Task | None, candidate: Candidate, c: Coordinator, now: float) -> Wait:
    seconds = selection.retry_after_seconds(reason, task, candidate, now, c.settings.idle_retry_seconds)
    return Wait(seconds, reason)


def assignment(c: Coordinator, task: Row, record: Row, assignment_id: str, lease_seconds: float) -> Assignment:
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

"""What a device that checks in is offered: read only. May import `core`, SQLAlchemy and this package's storage."""

from functools import lru_cache

import sqlalchemy as sa

from coordinator import auth, rounds, rows, schema, selection
from coordinator.context import Coordinator, parse_task
from coordinator.devices import Device, OpenTurn
from coordinator.rows import Row
from coordinator.selection import Candidate
from core import signing
from core.task import Task
from core.wire import Assignment, CheckIn, Wait

_T, _R, _A = schema.tasks, schema.rounds, schema.assignments
# A turn whose lease ran out may be taken again; every other turn of a round is the device's only one.
_HAD_TURN = sa.exists().where(
    _A.c.device_id == sa.bindparam("device_id"),
    _A.c.task_id == _T.c.id,
    _A.c.round == _T.c.round,
    _A.c.status != "open",
    _A.c.status != "expired",
)
# Statements are built once: making one costs more than running it.
_OPEN_TASKS = (
    sa.select(_T.c.id.label("task"), _T.c.status, _T.c.task_json, _T.c.manifest_sha256, _R, _HAD_TURN.label("had_turn"))
    .join(_R, sa.and_(_R.c.task_id == _T.c.id, _R.c.number == _T.c.round))
    .where(_T.c.population == sa.bindparam("population"), _T.c.status != "finished", _T.c.status != "cancelled")
    .order_by(_T.c.created_at, _T.c.id)
)
_FINISHED = sa.select(sa.exists().where(_T.c.population == sa.bindparam("population"), _T.c.status == "finished"))
_HAD_TURN_IN = sa.select(_HAD_TURN).where(_T.c.id == sa.bindparam("task_id"))
_TASK = sa.select(_T).where(_T.c.id == sa.bindparam("task_id"))


def resumed(
    c: Coordinator, view: sa.Connection, device: Device, held: OpenTurn, check_in: CheckIn, now: float
) -> Assignment | Wait:
    """A device that lost its assignment gets the same one, with what is left of its lease."""
    task = view.execute(_TASK, {"task_id": held.task_id}).one()
    if task.status != "running":
        return _wait("paused", parse_task(task.task_json), candidate_of(device, check_in), c, now)
    record = rows.round_row(view, held.task_id, held.round)
    return assignment(c, task, record, held.assignment_id, held.compute_until - now)


def offers(
    c: Coordinator, view: sa.Connection, device: Device, check_in: CheckIn, now: float
) -> tuple[list[str], Wait]:
    """The tasks that want the device, the emptiest first, and the answer if none does."""
    wanted: list[tuple[float, str]] = []
    waits: list[tuple[selection.Reason, Task | None]] = []
    for row in view.execute(_OPEN_TASKS, {"population": device.population, "device_id": device.id}):
        task = parse_task(row.task_json)
        reason: selection.Reason | None = "paused"
        if row.status == "running":
            candidate = candidate_of(device, check_in, row.had_turn)
            reason = selection.refusal(task, c.manifest(row.manifest_sha256), candidate, rows.as_round(row), now)
        if reason is None:
            wanted.append(((row.open + row.reported) / rounds.slots(task.round), row.task))
        waits.append((reason or "round-full", task))  # round-full: the answer if another device is quicker
    if not waits:
        finished = view.scalar(_FINISHED, {"population": device.population})
        waits.append(("finished" if finished else "no-task", None))
    candidate = candidate_of(device, check_in)
    # Of several answers the one that lets the device come back soonest is right.
    options = [_wait(reason, task, candidate, c, now) for reason, task in waits]
    return [task_id for _, task_id in sorted(wanted)], min(options, key=_usefulness)


def _usefulness(wait: Wait) -> tuple[bool, float]:
    return wait.reason == "paused", wait.retry_after_seconds


def had_turn(view: sa.Connection, task_id: str, device_id: str) -> bool:
    """Whether the device has had its turn in the task's open round."""
    return bool(view.scalar(_HAD_TURN_IN, {"task_id": task_id, "device_id": device_id}))


def candidate_of(device: Device, check_in: CheckIn, had_turn: bool = False) -> Candidate:
    """What the rules of selection look at."""
    return Candidate(device.public_key, check_in.client_version, check_in.runtimes, device.last_turn_at, had_turn)


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

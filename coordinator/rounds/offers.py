"""What devices that check in are offered: read only. May import `core`, SQLAlchemy and this package's storage."""

from dataclasses import dataclass
from functools import lru_cache

import sqlalchemy as sa

from fedrela.coordinator.access import auth
from fedrela.coordinator.access.devices import Device, OpenTurn
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import rules, selection
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.rounds.selection import Candidate
from fedrela.coordinator.storage import rows, schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core import signing
from fedrela.core.bundle import Manifest
from fedrela.core.task import Task
from fedrela.core.wire import Assignment, CheckIn, Wait

_T, _R, _A, _D = schema.tasks, schema.rounds, schema.assignments, schema.devices
# Statements are built once: making one costs more than running it.
_OPEN_TASKS = (
    sa.select(_T.c.id.label("task"), _T.c.status, _T.c.task_json, _T.c.manifest_sha256, _R)
    .join(_R, sa.and_(_R.c.task_id == _T.c.id, _R.c.number == _T.c.round))
    .where(_T.c.population == sa.bindparam("population"), _T.c.status != "finished", _T.c.status != "cancelled")
    .order_by(_T.c.created_at, _T.c.id)
)
_FINISHED = sa.select(sa.exists().where(_T.c.population == sa.bindparam("population"), _T.c.status == "finished"))
_TASK = sa.select(_T).where(_T.c.id == sa.bindparam("task_id"))
# A turn whose lease ran out may be taken again; every other turn of a round is the device's only one.
_HAD_TURN = sa.select(
    _D.c.id,
    sa.exists().where(
        _A.c.device_id == _D.c.id,
        _A.c.task_id == sa.bindparam("task_id"),
        _A.c.round == sa.bindparam("round"),
        _A.c.status != "open",
        _A.c.status != "expired",
    ),
).where(_D.c.revoked_at.is_(None))
# In the order that `service` writes them in, so that two workers never wait for each other's devices.
_HAD_TURN_LOCKED = _HAD_TURN.order_by(_D.c.id).with_for_update(of=_D, key_share=True)


@dataclass(frozen=True)
class Asking:
    """A device that is known and has no turn, and what it says of itself."""

    device: Device
    check_in: CheckIn


@dataclass(frozen=True)
class Offer:
    """The tasks that want a device, the emptiest first, and the answer if all slots are gone."""

    task_ids: tuple[str, ...]
    wait: Wait


@dataclass(frozen=True)
class _Open:
    """A task that may want devices, and its open round."""

    id: str
    status: str
    task: Task
    manifest: Manifest
    round: Round


def resumed(c: Coordinator, view: sa.Connection, asking: Asking, held: OpenTurn, now: float) -> Assignment | Wait:
    """A device that lost its assignment gets the same one, with what is left of its lease."""
    task = view.execute(_TASK, {"task_id": held.task_id}).one()
    if task.status != "running":
        return _wait("paused", parse_task(task.task_json), candidate_of(asking), c, now)
    record = rows.round_row(view, held.task_id, held.round)
    return assignment(c, task, record, held.assignment_id, held.compute_until - now)


def offers(c: Coordinator, view: sa.Connection, asking: list[Asking], now: float) -> list[Offer]:
    """What each of many devices is offered: one look at the tasks of each population."""
    found: dict[int, Offer] = {}
    for population in sorted({one.device.population for one in asking}):
        members = [index for index, one in enumerate(asking) if one.device.population == population]
        tasks = _open_tasks(c, view, population)
        of_tasks = [_reasons(view, task, [asking[index] for index in members], now) for task in tasks]
        if_none: selection.Reason = "no-task"
        if not tasks and view.scalar(_FINISHED, {"population": population}):
            if_none = "finished"
        for position, index in enumerate(members):
            reasons = [(task, of_task[position]) for task, of_task in zip(tasks, of_tasks, strict=True)]
            found[index] = _offer(c, candidate_of(asking[index]), reasons, if_none, now)
    return [found[index] for index in range(len(asking))]


def _open_tasks(c: Coordinator, view: sa.Connection, population: str) -> list[_Open]:
    return [
        _Open(row.task, row.status, parse_task(row.task_json), c.manifest(row.manifest_sha256), rows.as_round(row))
        for row in view.execute(_OPEN_TASKS, {"population": population})
    ]


def _reasons(view: sa.Connection, open_: _Open, asking: list[Asking], now: float) -> list[selection.Reason | None]:
    """Why the task doesn't want each of these devices; None where it does."""
    if open_.status != "running":
        return ["paused"] * len(asking)
    reasons = [selection.refusal(open_.task, open_.manifest, candidate_of(one), open_.round, now) for one in asking]
    wanted = [one.device.id for one, reason in zip(asking, reasons, strict=True) if reason is None]
    if wanted:  # only then does it matter who had a turn already
        had = had_turn(view, open_.id, open_.round.number, wanted)
        reasons = [
            "round-full" if reason is None and had.get(one.device.id, True) else reason
            for one, reason in zip(asking, reasons, strict=True)
        ]
    return reasons


def _offer(
    c: Coordinator,
    candidate: Candidate,
    reasons: list[tuple[_Open, selection.Reason | None]],
    if_none: selection.Reason,
    now: float,
) -> Offer:
    fullness = {
        open_.id: (open_.round.open + open_.round.reported) / rules.slots(open_.task.round)
        for open_, reason in reasons
        if reason is None
    }
    # round-full: the answer of a task that wants the device, if another device is quicker
    waits = [_wait(reason or "round-full", open_.task, candidate, c, now) for open_, reason in reasons]
    # Of several answers the one that lets the device come back soonest is right.
    wait = min(waits, key=_usefulness) if waits else _wait(if_none, None, candidate, c, now)
    return Offer(tuple(sorted(fullness, key=lambda task_id: (fullness[task_id], task_id))), wait)


def _usefulness(wait: Wait) -> tuple[bool, float]:
    return wait.reason == "paused", wait.retry_after_seconds


def had_turn(
    view: sa.Connection, task_id: str, number: int, device_ids: list[str], *, lock: bool = False
) -> dict[str, bool]:
    """Whether each device has had its turn in a round; one that is revoked is left out.

    lock: none of them can be revoked until the transaction ends.
    """
    statement, wanted = rows.among(_HAD_TURN_LOCKED if lock else _HAD_TURN, _D.c.id, device_ids)
    return {row[0]: bool(row[1]) for row in view.execute(statement, wanted | {"task_id": task_id, "round": number})}


def candidate_of(asking: Asking, had_turn: bool = False) -> Candidate:
    """What the rules of selection look at."""
    device, check_in = asking.device, asking.check_in
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

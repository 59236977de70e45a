"""Rows of the database as values of the rules, and back.

Every function runs inside its caller's transaction. `lock_task` is the one lock of the system: whoever changes a round
or an assignment of a task holds it, so operations on one task happen one after the other, however many workers run.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.rounds.selection import Participation
from fedrela.coordinator.storage import schema, secure_schema
from fedrela.core.errors import Refused

Row = sa.Row[Any]
_T, _R, _A, _D = schema.tasks, schema.rounds, schema.assignments, schema.devices
_O = secure_schema.outcomes
_FIELDS = ("number", "phase", "opened_at", "attempt", "open", "reported", "pending", "deadline_at")


# Statements of every request are built once: making one costs more than running it.
_LOCK_TASK = sa.select(_T).where(_T.c.id == sa.bindparam("task_id")).with_for_update()
_ROUND = sa.select(_R).where(_R.c.task_id == sa.bindparam("task_id"), _R.c.number == sa.bindparam("number"))
_ASSIGNMENT = sa.select(_A).where(_A.c.id == sa.bindparam("assignment"), _A.c.device_id == sa.bindparam("device_id"))
_EXPIRED = sa.select(_A.c.id, _A.c.expires_at, _A.c.compute_until).where(
    _A.c.task_id == sa.bindparam("task_id"), _A.c.status == "open", _A.c.expires_at <= sa.bindparam("now")
)
_OF_UPDATE = ("examples", "update_sha256", "update_digest", "update_bytes")
_REPORTED = ("status", "ended_at", "failure", "counted_in", *_OF_UPDATE)
_END_REPORTED = (
    sa.update(_A)
    .where(_A.c.id == sa.bindparam("assignment"))
    .values({name: sa.bindparam(name) for name in _REPORTED} | {"upload_worker": None, "upload_until": None})
)
_ASSIGNMENTS = sa.select(*_A.c["id", "round", "status", "expires_at", "update_sha256", "device_id"])
_NEW_ASSIGNMENT = sa.insert(_A)
_LAST_ASSIGNMENT = (
    sa.update(_D).where(_D.c.id == sa.bindparam("given_to")).values(last_assignment_at=sa.bindparam("given_at"))
)
_OF_DEVICE = sa.and_(
    _A.c.device_id == _D.c.id, _A.c.task_id == sa.bindparam("task_id"), _A.c.round == sa.bindparam("round")
)
_PARTICIPATION = sa.select(
    _D.c.id,
    sa.exists().where(_OF_DEVICE, _A.c.status.in_(("masked", "reported", "closed"))),
    sa.select(sa.func.max(_A.c.ended_at)).where(_OF_DEVICE, _A.c.status == "failed").scalar_subquery(),
    sa.exists().where(
        _O.c.task_id == sa.bindparam("task_id"), _O.c.device_id == _D.c.id, _O.c.set_aside_at.is_not(None)
    ),
).where(_D.c.revoked_at.is_(None))
# In the order that assignments are inserted in, so that two workers never wait for each other's devices.
_PARTICIPATION_LOCKED = _PARTICIPATION.order_by(_D.c.id).with_for_update(of=_D, key_share=True)
REVOKED = Participation(reported=True)  # of a device that is not found any more: it is given nothing


@dataclass(frozen=True)
class StoredAssignment:
    """What the rules look at of an assignment."""

    id: str
    round: int
    status: str  # open | reported | failed | expired | closed
    expires_at: float
    update_sha256: str | None
    device_id: str


@lru_cache(maxsize=16)
def _save_round(columns: frozenset[str]) -> sa.Update:
    """The statement that writes a round back, with further columns."""
    names = columns | {name for name in _FIELDS if name != "number"}
    return (
        sa.update(_R)
        .where(_R.c.task_id == sa.bindparam("of_task"), _R.c.number == sa.bindparam("of_number"))
        .values({name: sa.bindparam(name) for name in sorted(names)})
    )


def lock_task(tx: sa.Connection, task_id: str) -> Row:
    """The task's row, locked until the transaction ends. Raises Refused(404)."""
    row = tx.execute(_LOCK_TASK, {"task_id": task_id}).one_or_none()
    if row is None:
        raise not_found("task")
    return row


def round_row(tx: sa.Connection, task_id: str, number: int) -> Row:
    """The row of a round that exists."""
    return tx.execute(_ROUND, {"task_id": task_id, "number": number}).one()


def as_round(row: Row) -> Round:
    """The value that the rules work on."""
    return Round(**{name: row._mapping[name] for name in _FIELDS})


def save_round(tx: sa.Connection, task_id: str, round_: Round, **columns: Any) -> None:
    """Write a round back, with further columns."""
    values = {name: getattr(round_, name) for name in _FIELDS if name != "number"} | columns
    tx.execute(_save_round(frozenset(columns)), values | {"of_task": task_id, "of_number": round_.number})


@dataclass(frozen=True)
class Beginning:
    """What a round begins with: its model, and the norm that secure updates are clipped to, in millionths."""

    checkpoint_sha256: str
    checkpoint_bytes: int
    clip_millionths: int


def open_round(tx: sa.Connection, task_id: str, round_: Round, beginning: Beginning) -> None:
    """Insert the row of a round that begins."""
    tx.execute(
        sa.insert(schema.rounds).values(
            task_id=task_id,
            base_checkpoint_sha256=beginning.checkpoint_sha256,
            base_checkpoint_bytes=beginning.checkpoint_bytes,
            clip_millionths=beginning.clip_millionths,
            **{name: getattr(round_, name) for name in _FIELDS},
        )
    )


def participation(
    connection: sa.Connection, task_id: str, number: int, device_ids: list[str], *, lock: bool = False
) -> dict[str, Participation]:
    """What each device did in a round; one that is revoked is left out.

    lock: none of them can be revoked until the transaction ends.
    """
    statement, values = among(_PARTICIPATION_LOCKED if lock else _PARTICIPATION, _D.c.id, device_ids)
    asked = connection.execute(statement, values | {"task_id": task_id, "round": number})
    return {
        device_id: Participation(bool(reported), failed_at, bool(aside))
        for device_id, reported, failed_at, aside in asked
    }


def insert_assignments(tx: sa.Connection, assignments: list[dict[str, Any]]) -> None:
    """Insert assignments that begin, and note when at each device. The database refuses a device's second open one."""
    ordered = sorted(assignments, key=lambda assignment: str(assignment["device_id"]))
    tx.execute(_NEW_ASSIGNMENT, ordered)
    tx.execute(
        _LAST_ASSIGNMENT,
        [{"given_to": assignment["device_id"], "given_at": assignment["assigned_at"]} for assignment in ordered],
    )


def end_assignment(tx: sa.Connection, assignment_id: str, status: str, now: float, **columns: Any) -> None:
    """Close one assignment."""
    tx.execute(
        sa.update(schema.assignments)
        .where(schema.assignments.c.id == assignment_id)
        .values(status=status, ended_at=now, **columns)
    )


def end_reported(tx: sa.Connection, ended: list[dict[str, Any]]) -> None:
    """Close the assignments of many updates: dicts of the id as `assignment` and the columns that a report sets."""
    tx.execute(_END_REPORTED, sorted(ended, key=lambda columns: str(columns["assignment"])))


def close_open_assignments(tx: sa.Connection, task_id: str, now: float) -> int:
    """End every open assignment of a task: its round was committed without them, or the task is over."""
    closed = tx.execute(
        sa.update(schema.assignments)
        .where(schema.assignments.c.task_id == task_id, schema.assignments.c.status == "open")
        .values(status="closed", ended_at=now)
    )
    return int(closed.rowcount)


def expire_assignments(tx: sa.Connection, task_id: str, round_: Round, now: float) -> tuple[Round, int]:
    """End every open assignment whose lease is over; each gives its slot back. Returns the round and how many ended."""
    expired = tx.execute(_EXPIRED, {"task_id": task_id, "now": now}).all()
    for row in expired:
        code = "upload-lease-expired" if row.expires_at > row.compute_until else "compute-lease-expired"
        end_assignment(tx, row.id, "expired", now, failure=code)
        round_ = rules.release(round_)
    return round_, len(expired)


def current_assignment(tx: sa.Connection, assignment_id: str, device_id: str) -> Row:
    """An assignment of this very device. Raises Refused(404), also for another device's."""
    row = tx.execute(_ASSIGNMENT, {"assignment": assignment_id, "device_id": device_id}).one_or_none()
    if row is None:
        raise not_found("assignment")
    return row


def assignments(tx: sa.Connection, assignment_ids: list[str]) -> dict[str, StoredAssignment]:
    """Assignments by id."""
    return {row[0]: StoredAssignment(*row) for row in tx.execute(*among(_ASSIGNMENTS, _A.c.id, assignment_ids))}


def among(
    statement: sa.Select[Any], column: sa.Column[Any], values: list[str]
) -> tuple[sa.Select[Any], dict[str, str]]:
    """The statement for the rows whose `column` is one of `values`, and its parameters.

    Built once for each power of two, the values padded to it: SQLAlchemy's own way rewrites the text at every call.
    """
    count = 1 << (len(values) - 1).bit_length() if values else 1
    padded = [*values, *[values[-1] if values else ""] * (count - len(values))]
    return _among(statement, column, count), {f"among_{index}": value for index, value in enumerate(padded)}


@lru_cache(maxsize=64)
def _among(statement: sa.Select[Any], column: sa.Column[Any], count: int) -> sa.Select[Any]:
    return statement.where(sa.or_(*(column == sa.bindparam(f"among_{index}") for index in range(count))))


def not_found(what: str) -> Refused:
    """404. A thing of somebody else's is not found either."""
    return Refused(f"there is no such {what}", remedy="check the id", code=f"unknown-{what}", status=404)

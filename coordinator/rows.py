"""Rows of the database as values of the rules, and back. May import SQLAlchemy, `coordinator.{schema,rounds}`.

Every function runs inside its caller's transaction. `lock_task` is the one lock of the system: whoever changes a round
or a turn of a task holds it, so operations on one task happen one after the other, whatever the number of workers.
"""

from typing import Any

import sqlalchemy as sa

from coordinator import rounds, schema
from coordinator.rounds import Round
from core.errors import Refused

Row = sa.Row[Any]
_T, _R, _A = schema.tasks, schema.rounds, schema.assignments
_FIELDS = ("number", "phase", "opened_at", "attempt", "open", "reported", "pending", "deadline_at")


# Statements of every request are built once: making one costs more than running it.
_LOCK_TASK = sa.select(_T).where(_T.c.id == sa.bindparam("task_id")).with_for_update()
_ROUND = sa.select(_R).where(_R.c.task_id == sa.bindparam("task_id"), _R.c.number == sa.bindparam("number"))
_TURN = sa.select(_A).where(_A.c.id == sa.bindparam("turn"), _A.c.device_id == sa.bindparam("device_id"))
_EXPIRED = sa.select(_A.c.id, _A.c.expires_at, _A.c.compute_until).where(
    _A.c.task_id == sa.bindparam("task_id"), _A.c.status == "open", _A.c.expires_at <= sa.bindparam("now")
)
_SAVE_ROUND = (
    sa.update(_R)
    .where(_R.c.task_id == sa.bindparam("of_task"), _R.c.number == sa.bindparam("of_number"))
    .values({name: sa.bindparam(name) for name in _FIELDS if name != "number"})
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
    values = {name: getattr(round_, name) for name in _FIELDS if name != "number"}
    statement = _SAVE_ROUND.values(columns) if columns else _SAVE_ROUND
    tx.execute(statement, values | {"of_task": task_id, "of_number": round_.number})


def open_round(tx: sa.Connection, task_id: str, round_: Round, checkpoint_sha256: str, checkpoint_bytes: int) -> None:
    """Insert the row of a round that begins."""
    tx.execute(
        sa.insert(schema.rounds).values(
            task_id=task_id,
            base_checkpoint_sha256=checkpoint_sha256,
            base_checkpoint_bytes=checkpoint_bytes,
            **{name: getattr(round_, name) for name in _FIELDS},
        )
    )


def end_turn(tx: sa.Connection, assignment_id: str, status: str, now: float, **columns: Any) -> None:
    """Close one assignment."""
    tx.execute(
        sa.update(schema.assignments)
        .where(schema.assignments.c.id == assignment_id)
        .values(status=status, ended_at=now, **columns)
    )


def close_open_turns(tx: sa.Connection, task_id: str, now: float) -> int:
    """End every open turn of a task: its round was committed without them, or the task is over."""
    closed = tx.execute(
        sa.update(schema.assignments)
        .where(schema.assignments.c.task_id == task_id, schema.assignments.c.status == "open")
        .values(status="closed", ended_at=now)
    )
    return int(closed.rowcount)


def expire_turns(tx: sa.Connection, task_id: str, round_: Round, now: float) -> tuple[Round, int]:
    """End every open turn whose lease is over; each gives its slot back. Returns the round and how many ended."""
    expired = tx.execute(_EXPIRED, {"task_id": task_id, "now": now}).all()
    for row in expired:
        code = "upload-lease-expired" if row.expires_at > row.compute_until else "compute-lease-expired"
        end_turn(tx, row.id, "expired", now, failure=code)
        round_ = rounds.release(round_)
    return round_, len(expired)


def current_turn(tx: sa.Connection, assignment_id: str, device_id: str) -> Row:
    """An assignment of this very device. Raises Refused(404), also for another device's."""
    row = tx.execute(_TURN, {"turn": assignment_id, "device_id": device_id}).one_or_none()
    if row is None:
        raise not_found("assignment")
    return row


def not_found(what: str) -> Refused:
    """404. A thing of somebody else's is not found either."""
    return Refused(f"there is no such {what}", remedy="check the id", code=f"unknown-{what}", status=404)

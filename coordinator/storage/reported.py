"""The updates that a round counts, as rows: of which devices they are, and which of them are taken out again.

Every function runs inside its caller's transaction, which holds the task's lock where it changes something.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa

from fedrela.coordinator.storage import blobs, schema, secure_schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core.aggregation import outliers

_T, _A, _G = schema.tasks, schema.assignments, secure_schema.groups


def devices_counted_in(connection: sa.Connection, task_id: str, number: int) -> set[str]:
    """The devices whose updates count in a round."""
    query = sa.select(_A.c.device_id).where(
        _A.c.task_id == task_id, _A.c.counted_in == number, _A.c.status == "reported"
    )
    return set(connection.scalars(query))


def bodies(connection: sa.Connection, task_id: str, number: int) -> list[str]:
    """The blobs of the updates that count in round `number` or later."""
    query = sa.select(_A.c.id, _A.c.update_sha256).where(
        _A.c.task_id == task_id, _A.c.counted_in >= number, _A.c.status == "reported"
    )
    return [blobs.update(row.id, row.update_sha256) for row in connection.execute(query)]


def is_waiting() -> sa.ColumnElement[bool]:
    """Of assignments joined with their tasks: their update is one that a round, or a group, is going to count."""
    counts = sa.and_(_A.c.status == "reported", _A.c.counted_in >= _T.c.round)
    return sa.or_(counts, _A.c.status == "masked")


def waiting_sums(view: sa.Connection, group_ids: list[str] | None = None) -> set[str]:
    """The blobs of sums that rounds are going to count; of these groups, or of all."""
    alive = sa.and_(_T.c.id == _G.c.task_id, _G.c.round == _T.c.round, _T.c.status.in_(("running", "paused")))
    query = sa.select(_G.c.id, _G.c.sum_sha256).join(_T, alive).where(_G.c.phase == "summed")
    if group_ids is not None:
        query = query.where(_G.c.id.in_(group_ids))
    return {blobs.update(row.id, row.sum_sha256) for row in view.execute(query)}


def drop(tx: sa.Connection, task_id: str, number: int, assignment_ids: list[str], code: str, now: float) -> int:
    """Take updates out of a round: their assignments have failed with `code`. Returns how many were still counted."""
    dropped = tx.execute(
        sa.update(_A)
        .where(
            _A.c.id.in_(assignment_ids),
            _A.c.task_id == task_id,
            _A.c.counted_in == number,
            _A.c.status == "reported",
        )
        .values(status="failed", failure=code, ended_at=now)
    )
    return int(dropped.rowcount)


def count_pending_in(tx: sa.Connection, task_id: str, number: int) -> None:
    """What was to count in the round after `number` counts in it, as that round goes on collecting."""
    tx.execute(
        sa.update(_A)
        .where(_A.c.task_id == task_id, _A.c.counted_in == number + 1, _A.c.status == "reported")
        .values(counted_in=number)
    )


def close_from(tx: sa.Connection, task_id: str, number: int, now: float) -> None:
    """End, without a result, what is open and what counts in round `number` or later."""
    tx.execute(
        sa.update(_A)
        .where(
            _A.c.task_id == task_id,
            sa.or_(
                _A.c.status.in_(("open", "masked")),
                sa.and_(_A.c.status == "reported", _A.c.counted_in >= number),
            ),
        )
        .values(status="closed", ended_at=now)
    )


def norms(row: Row) -> tuple[float, ...]:
    """The L2 norms of a task's newest accepted updates, oldest first; whose they are is not known."""
    return tuple(json.loads(row.update_norms or "[]"))


def grown_norms(row: Row, factor: float) -> str:
    """The norms as they are stored, each so many times as large."""
    return _stored([factor * norm for norm in norms(row)])


def remember_norms(tx: sa.Connection, row: Row, accepted: list[float]) -> None:
    """Add the norms of updates that were accepted just now."""
    newest = outliers.with_accepted(norms(row), accepted)
    tx.execute(sa.update(_T).where(_T.c.id == row.id).values(update_norms=_stored(newest)))


def _stored(newest: Sequence[float]) -> str:
    # Six digits tell what is usual, and nothing more of an update.
    return json.dumps([float(f"{norm:.6g}") for norm in newest])

"""What a round's end means for its groups: what is still at work ends without a result, and nothing stays of it."""

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import blobs, collection, schema, secure_rows, secure_schema

_G, _M, _A = secure_schema.groups, secure_schema.members, schema.assignments


def close(tx: sa.Connection, task_id: str, number: int, now: float) -> None:
    """End a round's groups, the waiting room, and masked updates that no sum has. The caller holds the task's lock."""
    of_round = (_G.c.task_id == task_id, _G.c.round == number)
    active = sa.update(_G).where(*of_round, _G.c.phase.in_(secure_rows.ACTIVE))
    tx.execute(active.values(phase="closed", reason="round-closed", ended_at=now, worker=None))
    tx.execute(sa.delete(_M).where(_M.c.task_id == task_id, _M.c.round == number))
    tx.execute(
        sa.update(_A)
        .where(_A.c.task_id == task_id, _A.c.round == number, _A.c.status == "masked")
        .values(status="closed", ended_at=now)
    )


def discard(coordinator: Coordinator, task_id: str, number: int) -> None:
    """Delete what devices sent in a round that is over, and the sums of its groups."""
    with coordinator.store.read() as view:
        collection.discard(coordinator, leftovers(view, task_id, number))


def leftovers(view: sa.Connection, task_id: str, number: int) -> list[str]:
    """The blobs of a secure round's masked updates and sums, those that went already among them."""
    groups = secure_rows.of_round(view, task_id, number)
    if not groups:
        return []
    updates = sa.select(_A.c.id, _A.c.update_sha256).where(
        _A.c.task_id == task_id, _A.c.round == number, _A.c.update_sha256.is_not(None)
    )
    names = [blobs.update(row.id, row.update_sha256) for row in view.execute(updates)]
    return names + [blobs.update(row.id, row.sum_sha256) for row in groups if row.sum_sha256]

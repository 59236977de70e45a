"""What time ends: leases of turns and deadlines of rounds. May import `core`, SQLAlchemy and this package's storage.

`now` is in seconds of the coordinator's clock and is always passed in.
"""

import sqlalchemy as sa

from coordinator import rounds, rows, schema
from coordinator.context import Coordinator, parse_task


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
        tick_task(c, task_id, now)
    return len(due)


def tick_task(c: Coordinator, task_id: str, now: float) -> None:
    """The same for one task, in one transaction."""
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

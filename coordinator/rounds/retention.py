"""What goes by itself: devices and links that are long gone, and the single assignments of rounds that are over.

    retain(coordinator, now)       # called often; works once a minute of the coordinator's clock

Of an assignment only its count stays, by round and failure (`folded_assignments`). It is folded once it has ended for
`FOLD_SECONDS`, since until then its device may repeat an upload whose answer was lost, and a task under way
keeps its newest `NEWEST_ASSIGNMENTS`.
"""

from collections import Counter

import sqlalchemy as sa

from fedrela.coordinator.access import leaving
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import rows, schema
from fedrela.coordinator.storage.schema import FORGOTTEN
from fedrela.core.errors import Refused

EVERY_SECONDS = 60.0
FOLD_SECONDS = 600.0
NEWEST_ASSIGNMENTS = 200
DAY_SECONDS = 86400.0
_AT_ONCE = 500  # rows of one transaction
_A, _D, _F, _T = schema.assignments, schema.devices, schema.folded_assignments, schema.tasks


def retain(coordinator: Coordinator, now: float) -> None:
    """Fold and forget what is due, if it is time to look again."""
    if now - coordinator.retained_at.get("last", -EVERY_SECONDS) < EVERY_SECONDS:
        return
    coordinator.retained_at["last"] = now
    with coordinator.store.read() as view:
        task_ids = view.scalars(sa.select(_A.c.task_id).where(_A.c.status != "open").distinct()).all()
    for task_id in task_ids:
        while fold_assignments(coordinator, task_id, now) == _AT_ONCE:
            pass
    if coordinator.settings.retention_days:
        forget_old(coordinator, now, now - coordinator.settings.retention_days * DAY_SECONDS)


def fold_assignments(coordinator: Coordinator, task_id: str, now: float) -> int:
    """One transaction: replace old assignments of a task by their counts. Returns how many."""
    with coordinator.store.write() as tx:
        task = rows.lock_task(tx, task_id)
        ended = (_A.c.task_id == task_id, _A.c.status != "open")
        newest = sa.select(_A.c.ended_at).where(*ended).order_by(_A.c.ended_at.desc())
        is_over = task.status in ("finished", "cancelled")
        kept_since = now if is_over else tx.scalar(newest.offset(NEWEST_ASSIGNMENTS - 1).limit(1))
        if kept_since is None:
            return 0
        due = [*ended, _A.c.ended_at < min(kept_since, now - FOLD_SECONDS)]
        if not is_over:
            due += [_A.c.round < task.round, sa.func.coalesce(_A.c.counted_in, 0) < task.round]
        old = tx.execute(
            sa.select(_A.c.id, _A.c.round, _A.c.failure).where(*due).order_by(_A.c.ended_at).limit(_AT_ONCE)
        ).all()
        for (number, failure), count in Counter((row.round, row.failure or "") for row in old).items():
            where = (_F.c.task_id == task_id, _F.c.round == number, _F.c.failure == failure)
            if not tx.execute(sa.update(_F).where(*where).values(count=_F.c.count + count)).rowcount:
                tx.execute(sa.insert(_F).values(task_id=task_id, round=number, failure=failure, count=count))
        if old:
            tx.execute(sa.delete(_A).where(_A.c.id.in_([row.id for row in old])))
    return len(old)


def forget_old(coordinator: Coordinator, now: float, before: float) -> None:
    """Forget devices that were revoked or last heard of before a time, and the links that ended before it."""
    busy = sa.exists().where(_A.c.device_id == _D.c.id, _A.c.status == "open")
    last_heard = sa.func.coalesce(_D.c.seen_at, _D.c.last_assignment_at, _D.c.enrolled_at)
    with coordinator.store.read() as view:
        gone = view.scalars(
            sa.select(_D.c.id).where(_D.c.id != FORGOTTEN, sa.or_(_D.c.revoked_at < before, last_heard < before), ~busy)
        ).all()
        of_known = sa.and_(_A.c.ended_at < before, _A.c.device_id != FORGOTTEN)
        names_are_due = view.scalar(sa.select(sa.exists().where(of_known)))
    for device_id in gone:
        try:
            leaving.forget_device(coordinator, device_id, now)
        except Refused:
            continue  # it left just now
    tokens = schema.tokens
    with coordinator.store.read() as view:
        ended = sa.or_(tokens.c.revoked_at < before, tokens.c.expires_at < before)
        links_are_due = view.scalar(sa.select(sa.exists().where(ended)))
    if links_are_due or names_are_due:
        with coordinator.store.write() as tx:
            tx.execute(sa.delete(tokens).where(ended))
            tx.execute(sa.update(_A).where(of_known).values(device_id=FORGOTTEN))
        coordinator.store.scrub_is_due.set()

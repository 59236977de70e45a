"""How devices go: revoked by the operator, or forgotten, because the owner withdrew or nobody heard of them for long.

A device that is forgotten leaves no row and no name. Its assignments stay for the counts of their rounds, as those of
`FORGOTTEN`, until `rounds/retention.py` folds them; an update that was acknowledged still counts in its round.
"""

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds import rules
from fedrela.coordinator.storage import rows, schema, secure_rows, secure_schema
from fedrela.coordinator.storage.schema import FORGOTTEN


def revoke_device(coordinator: Coordinator, device_id: str, now: float) -> None:
    """From now on the device is nobody; an open assignment gives its slot back. Revoking twice is no fault."""
    while not _ended_at_once(coordinator, device_id, now, forget=False):
        pass  # it took an assignment just now, so another task's lock is needed


def forget_device(coordinator: Coordinator, device_id: str, now: float) -> None:
    """The same, and nothing is left that says who it was. Raises Refused (404) where it is not known any more."""
    while not _ended_at_once(coordinator, device_id, now, forget=True):
        pass
    coordinator.store.scrub_is_due.set()


def _ended_at_once(coordinator: Coordinator, device_id: str, now: float, *, forget: bool) -> bool:
    """One transaction that ends the device and its assignment; False, and nothing done, if it took one now."""
    table, assignments = schema.devices, schema.assignments
    open_assignment = sa.select(assignments.c.id, assignments.c.task_id).where(
        assignments.c.device_id == device_id, assignments.c.status == "open"
    )
    with coordinator.store.read() as view:
        held = view.execute(open_assignment).one_or_none()
    with coordinator.store.write() as tx:
        task = rows.lock_task(tx, held.task_id) if held is not None else None
        lock = sa.select(table.c.id).where(table.c.id == device_id, table.c.id != FORGOTTEN)
        if tx.execute(lock.with_for_update(key_share=not forget)).one_or_none() is None:
            raise rows.not_found("device")
        assignment = tx.execute(open_assignment).one_or_none()  # its last: who gives one locks the device too
        if assignment is not None and (task is None or assignment.task_id != task.id):
            return False
        since = sa.func.coalesce(table.c.revoked_at, now)
        tx.execute(sa.update(table).where(table.c.id == device_id).values(revoked_at=since))
        if assignment is not None and task is not None:
            rows.end_assignment(tx, assignment.id, "failed", now, failure="revoked")
            secure_rows.leave_room(tx, assignment.id)
            rows.save_round(tx, task.id, rules.release(rows.as_round(rows.round_row(tx, task.id, task.round))))
        if forget:
            tx.execute(sa.update(assignments).where(assignments.c.device_id == device_id).values(device_id=FORGOTTEN))
            tx.execute(sa.delete(secure_schema.outcomes).where(secure_schema.outcomes.c.device_id == device_id))
            tx.execute(sa.delete(table).where(table.c.id == device_id))
    return True

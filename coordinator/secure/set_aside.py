"""Devices whose groups' sums are left out again and again are asked for no more: one of them lies, or is broken.

Nobody sees a single update, so a sum that is left out says only that somebody in it did it. Groups are drawn anew each
time: whoever was in LEFT_OUT of its REMEMBERED newest sums is set aside, with whoever chance put beside it as often.
That needs groups to choose among: nobody is set aside where fewer devices would be left than a group needs.
"""

import logging

import sqlalchemy as sa

from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.storage import schema, secure_rows, secure_schema

LEFT_OUT = 3
REMEMBERED = 10
_O, _A, _D = secure_schema.outcomes, schema.assignments, schema.devices
log = logging.getLogger("fedrela.coordinator")


def note_counted(tx: TaskTransaction, assignment_ids: list[str]) -> None:
    """These were in a sum that counts. It is noted of devices alone that were in one that didn't."""
    for device_id, newest in _known(tx, assignment_ids).items():
        after = (newest + "s")[-REMEMBERED:]
        of_device = (_O.c.task_id == tx.row.id, _O.c.device_id == device_id)
        if "d" in after:
            tx.connection.execute(sa.update(_O).where(*of_device).values(newest=after))
        else:
            tx.connection.execute(sa.delete(_O).where(*of_device, _O.c.set_aside_at.is_(None)))


def note_left_out(tx: TaskTransaction, assignment_ids: list[str], now: float) -> None:
    """These were in a sum that was left out; the caller holds the task's lock."""
    known = _known(tx, assignment_ids)
    for device_id in _devices(tx, assignment_ids):
        newest = (known.get(device_id, "") + "d")[-REMEMBERED:]
        of_device = (_O.c.task_id == tx.row.id, _O.c.device_id == device_id)
        if not tx.connection.execute(sa.update(_O).where(*of_device).values(newest=newest)).rowcount:
            tx.connection.execute(sa.insert(_O).values(task_id=tx.row.id, device_id=device_id, newest=newest))
    _set_aside(tx, now)


def _set_aside(tx: TaskTransaction, now: float) -> None:
    query = sa.select(_O.c.device_id, _O.c.newest).where(_O.c.task_id == tx.row.id, _O.c.set_aside_at.is_(None))
    due = [device_id for device_id, newest in tx.connection.execute(query) if newest.count("d") >= LEFT_OUT]
    if not due:
        return
    of_population = (_D.c.population == tx.task.population, _D.c.revoked_at.is_(None), _D.c.id != schema.FORGOTTEN)
    there = tx.connection.scalar(sa.select(sa.func.count()).select_from(_D).where(*of_population)) or 0
    left = there - len(due) - len(secure_rows.set_aside(tx.connection, tx.row.id))
    if left < tx.task.privacy.group_minimum:
        log.warning("sums are left out, and too few devices to tell whose fault it is", extra={"task": tx.row.id})
        return
    log.warning("devices are set aside", extra={"task": tx.row.id, "devices": sorted(due)})
    chosen = sa.update(_O).where(_O.c.task_id == tx.row.id, _O.c.device_id.in_(due))
    tx.connection.execute(chosen.values(set_aside_at=now))


def _known(tx: TaskTransaction, assignment_ids: list[str]) -> dict[str, str]:
    """What is noted of these members' devices."""
    query = sa.select(_O.c.device_id, _O.c.newest).join(_A, _A.c.device_id == _O.c.device_id)
    asked = query.where(_O.c.task_id == tx.row.id, _A.c.id.in_(assignment_ids))
    return {row.device_id: row.newest for row in tx.connection.execute(asked)}


def _devices(tx: TaskTransaction, assignment_ids: list[str]) -> list[str]:
    query = sa.select(_A.c.device_id).where(_A.c.id.in_(assignment_ids), _A.c.device_id != schema.FORGOTTEN)
    return sorted(tx.connection.scalars(query))

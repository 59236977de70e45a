"""The waiting room of a round: devices with a finished update, until a group is formed of them.

One room per task and round. Who waits is under no lease, but comes back as told: `stay` notes that it did.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from fedrela.coordinator.access import auth
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds import rules, uploads
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.storage import schema, secure_rows, secure_schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core import streams
from fedrela.core.errors import Refused
from fedrela.core.privacy import Privacy
from fedrela.core.secure import formation
from fedrela.core.secure import group as groups
from fedrela.core.secure.messages import RosterMember, SecureKeys
from fedrela.core.secure.statements import Work
from fedrela.core.task import Task

STAY_SECONDS = 60.0  # and the upload lease: whoever is not heard of for so long doesn't wait any more
NO_LEASE_SECONDS = 2.0**31  # of a member of a group, whose phases end by themselves
_M, _D, _A = secure_schema.members, schema.devices, schema.assignments


def work_of(tx: TaskTransaction) -> Work:
    """What all members of the open round have trained."""
    row, record = tx.row, tx.record
    model = (row.manifest_sha256, record.base_checkpoint_sha256)
    return Work(row.task_sha256, *model, record.number, record.clip_millionths)


def accept_keys(tx: TaskTransaction, assignment_id: str, identity_key: str, keys: SecureKeys, now: float) -> None:
    """A device has its update and waits for others.

    Raises IntegrityError for keys that the others would refuse, Refused (409) for others than it sent, for keys that
    somebody else has, or where the assignment has ended.
    """
    assignment = tx.assignment(assignment_id)
    member = secure_rows.member(tx.connection, assignment_id)
    if assignment.status == "reported" or (member is not None and secure_rows.keys_of(member) == keys):
        return  # in a sum already, or the same again
    uploads.check_assignment(assignment.status, assignment.expires_at, now)
    if assignment.status != "open" or (member is not None and not _is_free(tx.connection, member)):
        raise _conflict("this member has sent other keys")
    if tx.round.phase != "collecting" or assignment.round != tx.round.number:
        raise uploads.ended("closed")
    device = tx.connection.execute(sa.select(_D.c.certificate).where(_D.c.id == assignment.device_id)).one()
    row = {"identity_key": identity_key, "certificate": device.certificate, "mask_key": keys.mask_key}
    row |= {"seal_key": keys.seal_key, "keys_signature": keys.signature}
    _check_new(tx, assignment_id, identity_key, keys)
    groups.accept_keys(RosterMember(1, assignment_id, identity_key, keys), work_of(tx))
    tx.connection.execute(sa.delete(_M).where(_M.c.assignment_id == assignment_id))
    place = {"assignment_id": assignment_id, "task_id": tx.row.id, "round": tx.round.number, "arrived_at": now}
    tx.connection.execute(sa.insert(_M).values(**place, **row))
    until = now + stay_seconds(tx.task.round.upload_lease_seconds)
    tx.write_assignment(assignment_id, expires_at=until, compute_until=until)
    form(tx, now)


def _is_free(connection: sa.Connection, member: Row) -> bool:
    """Whether a member's group broke up before anything was masked."""
    if member.group_id is None:
        return False
    row = secure_rows.group(connection, member.group_id)
    return bool(row.phase == "failed" and row.failed_in == "sharing")


def _check_new(tx: TaskTransaction, assignment_id: str, identity_key: str, keys: SecureKeys) -> None:
    """One key twice would make all members refuse the roster."""
    both = (keys.mask_key, keys.seal_key)
    same = sa.or_(_M.c.identity_key == identity_key, _M.c.mask_key.in_(both), _M.c.seal_key.in_(both))
    others = sa.and_(_M.c.task_id == tx.row.id, _M.c.round == tx.round.number, _M.c.assignment_id != assignment_id)
    alive = sa.and_(_A.c.id == _M.c.assignment_id, _A.c.status.in_(secure_rows.ALIVE))
    if both[0] == both[1] or tx.connection.scalar(sa.select(sa.exists().where(others, same, alive))):
        raise _conflict("one of these keys is in use")


def stay_seconds(upload_lease_seconds: float) -> float:
    """How long a member that waits, or is to send new keys, may be silent."""
    return STAY_SECONDS + upload_lease_seconds


def stay(coordinator: Coordinator, assignment: Row, now: float) -> None:
    """A member that waits was heard of; noted when half of its time is over, so that asking costs no write."""
    if assignment.expires_at - now > STAY_SECONDS / 2:
        return
    until = now + STAY_SECONDS
    unchanged = (_A.c.id == assignment.id, _A.c.status == "open", _A.c.expires_at == assignment.expires_at)
    with coordinator.store.write() as tx:
        tx.execute(sa.update(_A).where(*unchanged).values(expires_at=until, compute_until=until))


def retry_after_seconds(privacy: Privacy, jitter: float) -> float:
    """When a member that waits asks again: in time for its first phase, which may begin at once. `jitter`: 0 to 1."""
    return round(max(privacy.phase_seconds * (0.25 + 0.25 * jitter), 0.02), 3)


@dataclass(frozen=True)
class Room:
    """Who waits, and into groups of which sizes they go now."""

    waiting: list[Row]
    sizes: tuple[int, ...]


def room(connection: sa.Connection, task_id: str, task: Task, round_: Round, now: float) -> Room:
    """The waiting room of the open round."""
    privacy = task.privacy
    waiting = secure_rows.waiting(connection, task_id, round_.number, now)
    is_overdue = round_.deadline_at is not None and now >= round_.deadline_at
    if not waiting or round_.phase != "collecting" or is_overdue:
        return Room([], ())
    busy = round_.open - len(waiting) - secure_rows.in_active_groups(connection, task_id, round_.number)
    closing = formation.is_closing(
        privacy.groups,
        waited_seconds=now - waiting[0].arrived_at,
        others_at_work=busy + rules.free_slots(round_, task.round),  # who takes a free slot may still come, too
    )
    return Room(waiting, formation.sizes(len(waiting), privacy.groups, closing=closing))


def form(tx: TaskTransaction, now: float) -> None:
    """Form the groups that are due."""
    privacy = tx.task.privacy
    due = room(tx.connection, tx.row.id, tx.task, tx.round, now)
    if not due.sizes:
        return
    secret = bytes.fromhex(tx.coordinator.settings.signing_key)  # no device can know who comes to whom
    stream = streams.derive(secret, "secure-groups", tx.row.id, tx.round.number, due.waiting[0].assignment_id)
    for rows in formation.form(due.waiting, due.sizes, stream):
        _begin(tx, rows, now + privacy.phase_seconds, now)


def _begin(tx: TaskTransaction, rows: tuple[Row, ...], until: float, now: float) -> None:
    """A group's rows, and its members' places in it."""
    group_id = auth.new_id("g")
    begun = groups.begin(
        tuple(secure_rows.roster_member(row, index) for index, row in enumerate(rows, start=1)), work_of(tx)
    )
    tx.connection.execute(
        sa.insert(secure_schema.groups).values(
            id=group_id,
            task_id=tx.row.id,
            round=tx.round.number,
            phase=begun.phase,
            session=begun.session,
            threshold=begun.roster.threshold,
            size=len(rows),
            formed_at=now,
            phase_until=until,
        )
    )
    for index, row in enumerate(rows, start=1):
        secure_rows.write(tx.connection, row.assignment_id, group_id=group_id, member_index=index)
        tx.write_assignment(row.assignment_id, expires_at=now + NO_LEASE_SECONDS, compute_until=now + NO_LEASE_SECONDS)


def _conflict(problem: str) -> Refused:
    return Refused(problem, remedy="send the same keys again, or new ones", code="conflict", status=409)

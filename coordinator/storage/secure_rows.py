"""Groups and their members as rows, and as the values that `core.secure.group` works on.

Every function runs inside its caller's transaction. Of a group only what a step needs is read: boxes are text of equal
length, so that an inbox is cut out by the database, and of what others have sent that it was sent is enough.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.storage import schema, secure_schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core import strict
from fedrela.core.secure import sealing
from fedrela.core.secure.group import Group
from fedrela.core.secure.messages import (
    Certificate,
    Inbox,
    MaskedProof,
    Roster,
    RosterMember,
    SealedShares,
    SecureAgreement,
    SecureKeys,
    SecureReveal,
    SecureShares,
)

ACTIVE = ("sharing", "masking", "agreeing", "revealing", "summing")
ALIVE = ("open", "masked")  # assignments that a group still has something of
BOX = 2 * sealing.SEALED_BYTES  # characters
_G, _M, _A, _O = secure_schema.groups, secure_schema.members, schema.assignments, secure_schema.outcomes
_LIGHT = [column for column in _M.c if column.name != "sealed"]

# Statements of every message are built once: making one costs more than running it.
_AT = sa.bindparam("at", type_=sa.Integer)
_MEMBER = sa.select(*_LIGHT).where(_M.c.assignment_id == sa.bindparam("assignment"))
_GROUP = sa.select(_G).where(_G.c.id == sa.bindparam("group"))
_MEMBERS = sa.select(*_LIGHT).where(_M.c.group_id == sa.bindparam("group")).order_by(_M.c.member_index)
_SEALED = sa.select(_M.c.sealed).where(_M.c.group_id == sa.bindparam("group"), _M.c.member_index == _AT)
_BOX_OF = sa.case((_M.c.member_index > _AT, _AT - 1), else_=_AT - 2)
_INBOX = (  # a sender has no box for itself
    sa.select(_M.c.member_index, sa.func.substr(_M.c.sealed, _BOX_OF * BOX + 1, BOX))
    .where(_M.c.group_id == sa.bindparam("group"), _M.c.member_index != _AT)
    .where(_M.c.commitment.is_not(None))
    .order_by(_M.c.member_index)
)
# Read again and again while a group lasts, and public: who masked for whom, and what was signed.
_proof = lru_cache(maxsize=4096)(partial(strict.from_json, MaskedProof))
_agreement = lru_cache(maxsize=4096)(partial(strict.from_json, SecureAgreement))
_shared = lru_cache(maxsize=4096)(partial(SecureShares, sealed=()))


@lru_cache(maxsize=16)
def _write(columns: frozenset[str]) -> sa.Update:
    """The statement that changes these columns of a member's row."""
    changed = sa.update(_M).where(_M.c.assignment_id == sa.bindparam("of_assignment"))
    return changed.values({name: sa.bindparam(name) for name in sorted(columns)})


def member(connection: sa.Connection, assignment_id: str) -> Row | None:
    """A member, without its boxes."""
    return connection.execute(_MEMBER, {"assignment": assignment_id}).one_or_none()


def group(connection: sa.Connection, group_id: str) -> Row:
    """A group that exists."""
    return connection.execute(_GROUP, {"group": group_id}).one()


def active(connection: sa.Connection, task_id: str, number: int) -> list[Row]:
    """The groups of a round that may still give a sum."""
    return list(
        connection.execute(
            sa.select(_G)
            .where(_G.c.task_id == task_id, _G.c.round == number, _G.c.phase.in_(ACTIVE))
            .order_by(_G.c.formed_at, _G.c.id)
        )
    )


def of_round(connection: sa.Connection, task_id: str, number: int) -> list[Row]:
    """All groups of a round, whatever became of them."""
    query = sa.select(_G).where(_G.c.task_id == task_id, _G.c.round == number)
    return list(connection.execute(query.order_by(_G.c.formed_at, _G.c.id)))


def waiting(connection: sa.Connection, task_id: str, number: int, now: float) -> list[Row]:
    """The members of a round that wait for a group, in the order in which they came."""
    query = (
        sa.select(*_LIGHT)
        .join(_A, _A.c.id == _M.c.assignment_id)
        .where(_M.c.task_id == task_id, _M.c.round == number, _M.c.group_id.is_(None))
        .where(_A.c.status == "open", _A.c.expires_at > now)
        .order_by(_M.c.arrived_at, _M.c.assignment_id)
    )
    return list(connection.execute(query))


def members(connection: sa.Connection, group_id: str) -> list[Row]:
    """A group's members by their index, without their boxes."""
    return list(connection.execute(_MEMBERS, {"group": group_id}))


def in_active_groups(connection: sa.Connection, task_id: str, number: int) -> int:
    """How many assignments of a round are a group's that may still give a sum."""
    query = (
        sa.select(sa.func.count())
        .select_from(_M)
        .join(_G, _G.c.id == _M.c.group_id)
        .join(_A, _A.c.id == _M.c.assignment_id)
        .where(_M.c.task_id == task_id, _M.c.round == number, _G.c.phase.in_(ACTIVE), _A.c.status.in_(ALIVE))
    )
    return int(connection.scalar(query) or 0)


def clipped_of(connection: sa.Connection, task_id: str, number: int) -> tuple[int, int]:
    """How many updates in a round's sums were clipped, and how many there are."""
    query = sa.select(sa.func.sum(_G.c.clipped), sa.func.sum(_G.c.survivors))
    of_round = query.where(_G.c.task_id == task_id, _G.c.round == number, _G.c.phase == "summed")
    clipped, members = connection.execute(of_round).one()
    return int(clipped or 0), int(members or 0)


def is_spent(connection: sa.Connection, task_id: str, number: int) -> bool:
    """Whether members of a round may have masked: none of them is to be asked for this round's update again."""
    masked = sa.and_(_G.c.phase != "sharing", sa.func.coalesce(_G.c.failed_in, "") != "sharing")
    return bool(connection.scalar(sa.select(sa.exists().where(_G.c.task_id == task_id, _G.c.round == number, masked))))


def keys_of(row: Row) -> SecureKeys:
    """What a member sent first."""
    return SecureKeys(row.mask_key, row.seal_key, row.keys_signature)


def roster_member(row: Row, index: int) -> RosterMember:
    """What the others are told of a member."""
    certificate = strict.from_json(Certificate, row.certificate) if row.certificate else None
    return RosterMember(index, row.assignment_id, row.identity_key, keys_of(row), certificate)


def as_group(
    connection: sa.Connection,
    row: Row,
    index: int = 0,
    of_group: list[Row] | None = None,
    *,
    with_boxes: bool = False,
) -> Group:
    """The group. Of reveals that of member `index` is whole; of others only that they are there. 0: all are whole.

    `of_group`: its members, where they are read already. `with_boxes`: the shares of member `index` are whole; else
    there is no box, as the sum needs none, and what is sent to a member is read by `inbox`.
    """
    rows = members(connection, row.id) if of_group is None else of_group
    roster = Roster(row.threshold, tuple(roster_member(one, one.member_index) for one in rows))
    shares = {one.member_index: _shared(row.session, one.commitment) for one in rows if one.commitment}
    if with_boxes and index in shares:
        boxes = _boxes(connection, row.id, index, [one.member_index for one in rows])
        shares[index] = SecureShares(row.session, shares[index].commitment, boxes)
    return Group(
        roster,
        row.session,
        row.phase,
        shares,
        {one.member_index: _proof(one.proof) for one in rows if one.proof},
        {one.member_index: _agreement(one.agreement) for one in rows if one.agreement},
        {
            one.member_index: strict.from_json(SecureReveal, one.reveal)
            if one.member_index == index or not index
            else SecureReveal(row.session, ())
            for one in rows
            if one.reveal
        },
        row.failed_in,
    )


def _boxes(connection: sa.Connection, group_id: str, index: int, indices: Sequence[int]) -> tuple[SealedShares, ...]:
    """What a member has sealed for the others."""
    sealed = connection.scalar(_SEALED, {"group": group_id, "at": index}) or ""
    others = [other for other in indices if other != index]
    return tuple(SealedShares(other, sealed[at * BOX : (at + 1) * BOX]) for at, other in enumerate(others) if sealed)


def inbox(connection: sa.Connection, row: Row, index: int) -> Inbox:
    """The boxes for one member, from all other senders."""
    boxes = connection.execute(_INBOX, {"group": row.id, "at": index})
    return Inbox(row.session, tuple(SealedShares(sender, box) for sender, box in boxes))


def write(connection: sa.Connection, assignment_id: str, **columns: Any) -> None:
    """Change a member's row."""
    connection.execute(_write(frozenset(columns)), columns | {"of_assignment": assignment_id})


def save_group(connection: sa.Connection, group_id: str, **columns: Any) -> None:
    """Change a group's row."""
    connection.execute(sa.update(_G).where(_G.c.id == group_id).values(**columns))


def leave_room(connection: sa.Connection, assignment_id: str) -> None:
    """Who waits for a group waits no more. Of one in a group the others have its keys: they go with the group."""
    connection.execute(sa.delete(_M).where(_M.c.assignment_id == assignment_id, _M.c.group_id.is_(None)))


def forget_members(connection: sa.Connection, group_id: str) -> None:
    """What members have sent is of no more use."""
    connection.execute(sa.delete(_M).where(_M.c.group_id == group_id))


def set_aside(connection: sa.Connection, task_id: str) -> list[str]:
    """The devices that a task asks for no more, sorted."""
    query = sa.select(_O.c.device_id).where(_O.c.task_id == task_id, _O.c.set_aside_at.is_not(None))
    return sorted(connection.scalars(query))


def delete(connection: sa.Connection, task_id: str) -> None:
    """All that a task's groups have left."""
    for table in (_M, _G, _O):
        connection.execute(sa.delete(table).where(table.c.task_id == task_id))

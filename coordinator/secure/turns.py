"""What members send and ask: keys, shares, a masked update, an agreement, a reveal, and what to do next.

What is sent twice counts once and is answered alike; another message of its kind is refused (409).
"""

from dataclasses import dataclass, replace

import sqlalchemy as sa

from fedrela.coordinator.access.devices import Credentials
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import selection, uploads
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.rounds.uploads import StoredUpdate
from fedrela.coordinator.rounds.views import View
from fedrela.coordinator.secure import gathering, phases
from fedrela.coordinator.storage import schema, secure_rows
from fedrela.coordinator.storage.rows import Row
from fedrela.core import strict
from fedrela.core.errors import InvalidMessage, Refused
from fedrela.core.secure import group as groups
from fedrela.core.secure.messages import (
    MaskedProof,
    SecureAgreement,
    SecureKeys,
    SecureReveal,
    SecureShares,
    SecureStep,
)
from fedrela.core.wire import UpdateReceipt

Message = SecureKeys | SecureShares | SecureAgreement | SecureReveal
_PART = {"sharing": "commitment", "masking": "proof", "agreeing": "agreement"}  # what a member gives in a phase


@dataclass(frozen=True)
class Sent:
    """A message, and who sends it."""

    credentials: Credentials
    assignment_id: str
    message: Message


@dataclass(frozen=True)
class Admitted:
    """A message of the device whose assignment it is about."""

    assignment_id: str
    task_id: str
    identity_key: str
    message: Message


def admit(view: View, sent: Sent, now: float) -> Admitted:
    """Raises Refused: 401, 404 for another's assignment, 409 where its task has no secure rounds."""
    device = view.device(sent.credentials)
    assignment = view.assignment(sent.assignment_id, device.id)
    _check_secure(assignment.task_json)
    return Admitted(assignment.id, assignment.task_id, device.public_key, sent.message)


def accept(tx: TaskTransaction, sent: Admitted, now: float) -> None:
    """Take a message. Raises InvalidMessage, IntegrityError or Refused (409), and then nothing has changed."""
    if isinstance(sent.message, SecureKeys):
        gathering.accept_keys(tx, sent.assignment_id, sent.identity_key, sent.message, now)
        return
    assignment = tx.assignment(sent.assignment_id)
    member = secure_rows.member(tx.connection, sent.assignment_id)
    if member is None and assignment.status == "reported":
        return  # the sum is there, and what led to it is deleted: it counts for nothing more
    uploads.check_assignment(assignment.status, assignment.expires_at, now)
    place = _place_of(tx.connection, member)
    with_boxes = isinstance(sent.message, SecureShares)
    before = secure_rows.as_group(tx.connection, place.group, place.index, with_boxes=with_boxes)
    after, columns = _accepted(before, place.index, sent.message)
    if after is not before:
        secure_rows.write(tx.connection, sent.assignment_id, **columns)
        phases.advance(tx, place.group, after, now)


def _accepted(group: groups.Group, index: int, message: Message) -> tuple[groups.Group, dict[str, str]]:
    """The group with a message, and what is stored of it."""
    if isinstance(message, SecureShares):
        sealed = "".join(box.box for box in message.sealed)
        return groups.accept_shares(group, index, message), {"commitment": message.commitment, "sealed": sealed}
    if isinstance(message, SecureAgreement):
        if message.index != index:
            raise InvalidMessage("the agreement is another member's", remedy="send your own index in the roster")
        return groups.accept_agreement(group, message), {"agreement": strict.to_json(message).decode()}
    assert isinstance(message, SecureReveal)
    return groups.accept_reveal(group, index, message), {"reveal": strict.to_json(message).decode()}


def accept_masked(tx: TaskTransaction, stored: StoredUpdate, now: float) -> UpdateReceipt:
    """Take a masked update that is stored. The same again is acknowledged, and nothing changes.

    Raises Refused (409) out of turn or where the assignment has ended, IntegrityError for a forged proof.
    """
    assignment = tx.assignment(stored.assignment_id)
    if assignment.status in ("masked", "reported"):
        if assignment.update_sha256 != stored.sha256:
            raise _conflict("another update was accepted for this assignment")
        return UpdateReceipt(assignment.round, duplicate=True)
    uploads.check_assignment(assignment.status, assignment.expires_at, now)
    place = _place_of(tx.connection, secure_rows.member(tx.connection, assignment.id))
    assert stored.masked is not None  # it is unknown only of what was accepted before
    header = stored.masked.header
    proof = MaskedProof(
        place.index, header.session, header.senders_sha256, stored.masked.words_sha256, header.signature
    )
    after = groups.accept_masked(secure_rows.as_group(tx.connection, place.group, place.index), proof)
    secure_rows.write(tx.connection, assignment.id, proof=strict.to_json(proof).decode())
    of_body = {"update_sha256": stored.sha256, "update_digest": stored.digest, "update_bytes": stored.size_bytes}
    tx.write_assignment(assignment.id, status="masked", upload_worker=None, upload_until=None, **of_body)
    _count_bytes(tx, assignment.round, stored.size_bytes or 0)
    phases.advance(tx, place.group, after, now)
    return UpdateReceipt(assignment.round)


def _count_bytes(tx: TaskTransaction, number: int, received: int) -> None:
    table = schema.rounds
    of_round = sa.update(table).where(table.c.task_id == tx.row.id, table.c.number == number)
    tx.connection.execute(of_round.values(update_bytes=table.c.update_bytes + received))


def step(coordinator: Coordinator, credentials: Credentials, assignment_id: str) -> SecureStep:
    """What the device of an assignment is to do next. Raises Refused: 401, 404, or 409 where no round is secure."""
    with coordinator.store.read() as connection:
        now = coordinator.store.now(connection)
        # First the member, which goes when its assignment ends: on PostgreSQL each statement sees a newer state.
        member = secure_rows.member(connection, assignment_id)
        view = View(coordinator, connection, [credentials], [assignment_id])
        device = view.device(credentials)
        assignment = view.assignment(assignment_id, device.id)
        _check_secure(assignment.task_json)
        answer = _step(connection, assignment, member, now)
    if member is not None and member.group_id is None and answer.step == "wait":
        gathering.stay(coordinator, assignment, now)
    return answer


def _step(connection: sa.Connection, assignment: Row, member: Row | None, now: float) -> SecureStep:
    status = "expired" if assignment.status == "open" and now >= assignment.expires_at else assignment.status
    if status == "reported":
        return SecureStep("done", reason="summed")
    if status not in secure_rows.ALIVE:
        return SecureStep("closed", reason=assignment.failure or f"the assignment is {status}")
    if member is None:
        return SecureStep("again", reason="send keys first")
    privacy, jitter = parse_task(assignment.task_json).privacy, selection.share(member.identity_key, repr(now))
    if member.group_id is None:
        return SecureStep("wait", retry_after_seconds=gathering.retry_after_seconds(privacy, jitter))
    return _step_in_group(connection, member, phases.retry_after_seconds(privacy, jitter))


def _step_in_group(connection: sa.Connection, member: Row, retry_after_seconds: float) -> SecureStep:
    wait = SecureStep("wait", retry_after_seconds=retry_after_seconds)
    row, index = secure_rows.group(connection, member.group_id), member.member_index
    if getattr(member, _PART.get(row.phase, ""), None) is not None:
        return wait  # most questions: the others have not done their part of the phase yet
    members = secure_rows.members(connection, member.group_id)  # after the phase: in one, what is there only grows
    if not members or row.phase not in ("failed", *secure_rows.ACTIVE):
        return wait  # it has ended just now, and its members' assignments with it: the next answer says so
    answer = groups.step(secure_rows.as_group(connection, row, index, members), index, retry_after_seconds)
    return replace(answer, inbox=secure_rows.inbox(connection, row, index)) if answer.step == "mask" else answer


@dataclass(frozen=True)
class _Place:
    """A member's group and its number there."""

    group: Row
    index: int


def _place_of(connection: sa.Connection, member: Row | None) -> _Place:
    if member is None or member.group_id is None:
        raise Refused("not now: this member is in no group", remedy="ask for the step", code="out-of-turn", status=409)
    return _Place(secure_rows.group(connection, member.group_id), member.member_index)


def _check_secure(task_json: str) -> None:
    if parse_task(task_json).privacy.secure == "none":
        raise Refused(
            "this task has no secure rounds", remedy="send the update as it is", code="not-secure", status=409
        )


def _conflict(problem: str) -> Refused:
    return Refused(problem, remedy="send the same bytes again, or nothing", code="conflict", status=409)

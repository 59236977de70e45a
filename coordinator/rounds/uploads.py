"""What is checked of an upload: token, phase, lease and length, before a byte of its body is read.

May import `core`, SQLAlchemy and this package's storage.
"""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.access import auth, devices
from fedrela.coordinator.access.devices import Device
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.storage import rows, schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core import encodings
from fedrela.core.bundle import Manifest
from fedrela.core.errors import FedRelaError, Refused
from fedrela.core.task import Task
from fedrela.core.wire import UpdateReceipt

_TURNS = sa.select(schema.assignments, *schema.tasks.c["task_json", "manifest_sha256"]).join(
    schema.tasks, schema.tasks.c.id == schema.assignments.c.task_id
)
TURN_ENDED = {
    "failed": ("turn-failed", "this turn was given back"),
    "expired": ("lease-expired", "the lease of this turn is over"),
    "closed": ("round-closed", "the round was closed without this turn"),
}


@dataclass(frozen=True)
class Announced:
    """An update whose body has not been read yet: the hash of the device's token, and what its headers say."""

    token_hash: str
    assignment_id: str
    upload_token: str
    length: int | None


@dataclass(frozen=True)
class Upload:
    """Permission to send one update: what is allowed, and how long it may take."""

    assignment_id: str
    task_id: str
    device_id: str
    task: Task
    manifest: Manifest
    max_bytes: int
    seconds: float
    stored_sha256: str | None  # an update was accepted before


def begin_upload(
    c: Coordinator, token_hash: str, assignment_id: str, token: str, length: int | None, now: float
) -> Upload:
    """Check token, phase, lease and length before a byte of the body is read. Extends a lease that is nearly over."""
    (answer,) = begin_all(c, [Announced(token_hash, assignment_id, token, length)], now)
    if isinstance(answer, FedRelaError):
        raise answer
    return answer


def begin_all(c: Coordinator, announced: list[Announced], now: float) -> list[Upload | FedRelaError]:
    """The same for many, on one view of the database."""
    with c.store.read() as view:
        known = devices.identify_all(view, [one.token_hash for one in announced])
        wanted = rows.among(_TURNS, schema.assignments.c.id, [one.assignment_id for one in announced])
        turns = {turn.id: turn for turn in view.execute(*wanted)}
    answers: list[Upload | FedRelaError] = []
    for one in announced:
        try:
            answers.append(_begin(c, one, known.get(one.token_hash), turns.get(one.assignment_id), now))
        except FedRelaError as error:
            answers.append(error)
    return answers


def _begin(c: Coordinator, announced: Announced, device: Device | None, turn: Row | None, now: float) -> Upload:
    if device is None:
        raise auth.unauthenticated()
    if not auth.same(announced.upload_token, auth.upload_token(c.settings.signing_key, announced.assignment_id)):
        raise _bad_token()
    if turn is None or turn.device_id != device.id:
        raise rows.not_found("assignment")
    task, manifest = parse_task(turn.task_json), c.manifest(turn.manifest_sha256)
    check_turn(turn, now)
    max_bytes = encodings.max_body_bytes(manifest.weights)
    _check_length(announced.length, max_bytes)
    seconds = task.round.upload_lease_seconds
    if turn.status == "open" and turn.expires_at - now < seconds:
        seconds = _extend_lease(c, turn, now, seconds)
    return Upload(turn.id, turn.task_id, device.id, task, manifest, max_bytes, seconds, turn.update_sha256)


def _bad_token() -> Refused:
    return Refused(
        "the upload token is missing or not that of this assignment",
        remedy="send the token of the assignment in Fedrela-Upload-Token",
        code="bad-upload-token",
        status=403,
    )


def check_turn(turn: Row, now: float) -> None:
    """Raise Refused(409) unless the turn is open or has reported."""
    status = "expired" if turn.status == "open" and now >= turn.expires_at else turn.status
    if status in TURN_ENDED:
        raise ended(status)


def ended(status: str) -> Refused:
    code, problem = TURN_ENDED[status]
    return Refused(problem, remedy="drop this update and check in again", code=code, status=409)


def _check_length(length: int | None, max_bytes: int) -> None:
    if length is None:
        raise Refused(
            "the update has no Content-Length", remedy="send its length first", code="length-required", status=411
        )
    if length > max_bytes:
        raise Refused(
            f"the update has {length} bytes, this model's have at most {max_bytes}",
            remedy="send only the tensors of the manifest, in the task's encoding",
            code="too-large",
            status=413,
        )


def _extend_lease(c: Coordinator, turn: Row, now: float, upload_seconds: float) -> float:
    """Once, where the compute lease ends before the upload lease would. Returns the seconds that are left."""
    if turn.expires_at > turn.compute_until:
        return float(turn.expires_at - now)
    table = schema.assignments
    with c.store.write() as tx:
        extended = tx.execute(
            sa.update(table)
            .where(table.c.id == turn.id, table.c.status == "open", table.c.expires_at == turn.expires_at)
            .values(expires_at=now + upload_seconds)
        )
    return upload_seconds if extended.rowcount else float(max(turn.expires_at - now, 0.001))


def counted(
    task: Task, round_: Round, turn: Row, columns: dict[str, Any], now: float
) -> tuple[UpdateReceipt | Refused, Round, dict[str, Any]]:
    """What becomes of a stored update: the answer, the round after it, and the columns that its turn ends with.

    No columns: nothing changes, as the turn has reported the same before. `now` in seconds. Raises Refused, and then
    nothing changes either.
    """
    if turn.status == "reported":
        return _repeated(turn, columns["update_sha256"]), round_, {}
    check_turn(turn, now)
    counts_in = rules.counts_in(round_)
    if counts_in > task.rounds:
        raise ended("closed")
    empty = dict.fromkeys(("failure", "counted_in", "examples", "update_sha256", "update_digest", "update_bytes"))
    ending = {"turn": turn.id, "status": "reported", "ended_at": now} | empty
    stale = rules.staleness(counts_in, turn.round)
    if task.round.mode == "asynchronous" and stale > task.round.max_staleness:
        return _too_stale(task), rules.release(round_), ending | {"status": "failed", "failure": "too-stale"}
    return UpdateReceipt(turn.round), rules.report(round_, task.round), ending | {"counted_in": counts_in} | columns


def _too_stale(task: Task) -> Refused:
    return Refused(
        f"the global model has moved on by more than {task.round.max_staleness} rounds",
        remedy="drop this update and check in again",
        code="too-stale",
        status=409,
    )


def _repeated(turn: Row, sha256: str) -> UpdateReceipt:
    if turn.update_sha256 != sha256:
        raise Refused(
            "another update was accepted for this assignment",
            remedy="send one update per assignment; check in for the next turn",
            code="already-reported",
            status=409,
        )
    return UpdateReceipt(turn.round, duplicate=True)

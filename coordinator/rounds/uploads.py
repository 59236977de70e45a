"""What is checked of an upload: token, phase, lease and length, before a byte of its body is read."""

from dataclasses import dataclass, replace

import sqlalchemy as sa

from fedrela.coordinator.access import auth
from fedrela.coordinator.access.devices import Credentials
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds.views import View
from fedrela.coordinator.storage import schema
from fedrela.core import encodings
from fedrela.core.bundle import Manifest
from fedrela.core.errors import Refused
from fedrela.core.secure import masked_body, secure_tasks
from fedrela.core.secure.masked_body import Header
from fedrela.core.task import Task

_ASSIGNMENTS = schema.assignments
_EXTEND = (
    sa.update(_ASSIGNMENTS)
    .where(
        _ASSIGNMENTS.c.id == sa.bindparam("assignment"),
        _ASSIGNMENTS.c.status == "open",
        _ASSIGNMENTS.c.expires_at == sa.bindparam("ends_at"),
    )
    .values(expires_at=sa.bindparam("until"))
)
ASSIGNMENT_ENDED = {
    "failed": ("turn-failed", "this assignment was given back"),
    "expired": ("lease-expired", "the lease of this assignment is over"),
    "closed": ("round-closed", "the round was closed without this assignment"),
}


@dataclass(frozen=True)
class UploadHeaders:
    """An update whose body has not been read yet: who sends it, and what its headers say."""

    credentials: Credentials
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
    short_lease_ends_at: float | None = None  # the compute lease ends before the upload may: `extend_lease` first
    claimed_by: str | None = None  # who received an update of this assignment last, and until when at the latest
    claimed_until: float | None = None


@dataclass(frozen=True)
class Masked:
    """What a masked update says of itself: who masked it, and for whom."""

    header: Header
    words_sha256: str


@dataclass(frozen=True)
class StoredUpdate:
    """An update that is checked and stored but not counted yet."""

    assignment_id: str
    task_id: str
    sha256: str
    digest: str | None = None  # this and what follows: None where an update was accepted before, only to be compared
    size_bytes: int | None = None
    examples: int | None = None
    norm: float = 0.0  # L2, of the decoded update's parameters
    statistics_norm: float = 0.0  # of its statistics
    masked: Masked | None = None  # of a secure round's: all that can be known of it


def begin_upload(view: View, headers: UploadHeaders, now: float) -> Upload:
    """Permit an upload, or raise Refused (401, 403, 404, 409, 411, 413), before a byte of the body is read.

    A compute lease that ends before the upload may is extended once: by `extend_lease`, as a view writes nothing.
    """
    device = view.device(headers.credentials)
    if not auth.same(
        headers.upload_token, auth.upload_token(view.coordinator.settings.signing_key, headers.assignment_id)
    ):
        raise _bad_token()
    assignment = view.assignment(headers.assignment_id, device.id)
    task, manifest = parse_task(assignment.task_json), view.coordinator.manifest(assignment.manifest_sha256)
    check_assignment(assignment.status, assignment.expires_at, now)
    max_bytes = encodings.max_body_bytes(manifest.weights)
    if task.privacy.secure == "peers":
        max_bytes = masked_body.max_bytes(secure_tasks.words(task, manifest))
    _check_length(headers.length, max_bytes)
    seconds, short_lease_ends_at = task.round.upload_lease_seconds, None
    if assignment.status == "open" and assignment.expires_at - now < seconds:
        if assignment.expires_at > assignment.compute_until:
            seconds = float(assignment.expires_at - now)  # it was extended before
        else:
            short_lease_ends_at = assignment.expires_at
    return Upload(
        assignment.id,
        assignment.task_id,
        device.id,
        task,
        manifest,
        max_bytes,
        seconds,
        assignment.update_sha256,
        short_lease_ends_at,
        assignment.upload_worker,
        assignment.upload_until,
    )


def extend_lease(coordinator: Coordinator, upload: Upload, now: float) -> Upload:
    """One transaction: the assignment lasts until the upload may end, unless another request extended or ended it."""
    if (ends_at := upload.short_lease_ends_at) is None:
        return upload
    with coordinator.store.write() as tx:
        values = {"assignment": upload.assignment_id, "ends_at": ends_at, "until": now + upload.seconds}
        extended = tx.execute(_EXTEND, values).rowcount
    return upload if extended else replace(upload, seconds=max(ends_at - now, 0.001))


def _bad_token() -> Refused:
    return Refused(
        "the upload token is missing or not that of this assignment",
        remedy="send the token of the assignment in Fedrela-Upload-Token",
        code="bad-upload-token",
        status=403,
    )


def check_assignment(status: str, expires_at: float, now: float) -> None:
    """Raise Refused(409) unless an assignment is open or has reported."""
    if status == "open" and now >= expires_at:
        status = "expired"
    if status in ASSIGNMENT_ENDED:
        raise ended(status)


def ended(status: str) -> Refused:
    """The answer to an update for an assignment that ended without one."""
    code, problem = ASSIGNMENT_ENDED[status]
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

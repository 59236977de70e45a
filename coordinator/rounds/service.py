"""What devices do, where the rules of a round meet storage: one function each, for one device, whole or not at all.

    publish ──► check_in ──► join ──► begin_upload ──► accept_update ──► aggregate ──► commit ──► the next round
    (tasks.py)                │       (uploads.py)          ▲      (global_model.py) (closing.py)
                              └── report_failure            └── expire: leases and deadlines (closing.py)

`check_in` and `begin_upload` read a view; `join` and `accept_update` change a task in a transaction that holds its
lock. `rounds/group_commit.py` gives them the view and the transaction, one for all requests that come at the same time.
`now` is in seconds of the coordinator's clock and is always passed in.
"""

import math
from dataclasses import dataclass

from fedrela.coordinator.access import devices
from fedrela.coordinator.access.devices import Credentials, Device
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds import offers, rules, selection, unusable, uploads
from fedrela.coordinator.rounds.offers import Applicant, Offer
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.rounds.uploads import Masked, StoredUpdate, Upload
from fedrela.coordinator.rounds.views import View
from fedrela.coordinator.secure import turns
from fedrela.coordinator.storage import blobs, collection, rows
from fedrela.coordinator.storage.rows import StoredAssignment
from fedrela.core import encodings, signing, tensors
from fedrela.core.errors import Refused
from fedrela.core.secure import masked_body, secure_tasks
from fedrela.core.task import Task
from fedrela.core.wire import Assignment, CheckIn, FailureReport, UpdateReceipt, Wait


@dataclass(frozen=True)
class CheckInRequest:
    """A check-in, and who makes it."""

    credentials: Credentials
    check_in: CheckIn


def check_in(view: View, request: CheckInRequest, now: float) -> Assignment | Wait | Offer:
    """The assignment that the device has already, the tasks that it may join, or a time to come back.

    An assignment is not signed yet. Raises Refused (401, 403) or InvalidInput.
    """
    device = view.device(request.credentials)
    devices.check(device, request.check_in)
    applicant, held = Applicant(device, request.check_in), device.open_assignment
    if held is not None and held.expires_at > now:
        return offers.resumed(view, applicant, held, now)
    return offers.offer(view, applicant, now)


def join(tx: TaskTransaction, applicant: Applicant, now: float) -> Assignment | None:
    """An assignment of the open round; None where, seen under its lock, it doesn't want the device any more."""
    tx.sweep_leases(now)
    if tx.row.status != "running":
        return None
    manifest = tx.coordinator.manifest(tx.row.manifest_sha256)
    candidate = offers.candidate_of(applicant, tx.participation(applicant.device.id))
    if selection.refusal(tx.task, manifest, candidate, tx.round, now) is not None:
        return None
    if _waits_for_other_devices(tx, applicant.device.id):
        return None
    tx.round = rules.join(tx.round, tx.task.round, now)
    assignment_id = tx.open_assignment(applicant.device.id, now)
    return offers.assignment(tx.coordinator, tx.row, tx.record, assignment_id, tx.task.round.compute_lease_seconds)


def _waits_for_other_devices(tx: TaskTransaction, device_id: str) -> bool:
    """Whether a buffer has all its updates, of too few devices, and this device is one of them."""
    settings = tx.task.round
    full = settings.mode == "asynchronous" and tx.round.reported >= settings.goal
    return full and device_id in tx.devices_counted_in(tx.round.number)


def store_update(coordinator: Coordinator, upload: Upload, body: bytes) -> StoredUpdate:
    """Check the body and store it; nothing refers to it yet.

    Raises InvalidTensors or InvalidMessage, and then nothing is stored, or Unavailable.
    """
    assignment_id, task_id, sha256 = upload.assignment_id, upload.task_id, signing.sha256(body)
    if upload.stored_sha256 is not None:
        return StoredUpdate(assignment_id, task_id, sha256)
    if upload.task.privacy.secure == "peers":
        return _store_masked(coordinator, upload, body, sha256)
    manifest, encoding = upload.manifest, upload.task.aggregation.encoding
    change, metadata = encodings.decode(body, manifest.weights, encoding, manifest.statistics)
    statistics = {name: change.pop(name) for name in manifest.statistics}
    norm, statistics_norm = (math.sqrt(tensors.squared_norm(part)) for part in (change, statistics))
    coordinator.blobs.put(blobs.update(assignment_id, sha256), body)
    digest = blobs.quick_digest(body)
    of_values = (metadata.examples, norm, statistics_norm)
    return StoredUpdate(assignment_id, task_id, sha256, digest, len(body), *of_values)


def _store_masked(coordinator: Coordinator, upload: Upload, body: bytes, sha256: str) -> StoredUpdate:
    """The same for an update that hides behind pads: of its values nothing can be checked."""
    words, header = masked_body.from_bytes(body, secure_tasks.words(upload.task, upload.manifest))
    masked = Masked(header, masked_body.words_sha256(words))
    coordinator.blobs.put(blobs.update(upload.assignment_id, sha256), body)
    digest = blobs.quick_digest(body)
    return StoredUpdate(upload.assignment_id, upload.task_id, sha256, digest, len(body), masked=masked)


def discard_update(coordinator: Coordinator, stored: StoredUpdate) -> None:
    """Delete the body of an update that was refused: nothing refers to it."""
    collection.discard(coordinator, [blobs.update(stored.assignment_id, stored.sha256)])


def accept_update(tx: TaskTransaction, stored: StoredUpdate, now: float) -> UpdateReceipt:
    """Count a stored update: its assignment ends, the round moves on. The same again is acknowledged, nothing changes.

    Raises Refused (409) where the assignment or the round has ended, or has another update. One that is too stale or
    too large is refused too, and its assignment ends.
    """
    if tx.task.privacy.secure == "peers":
        return turns.accept_masked(tx, stored, now)
    assignment = tx.assignment(stored.assignment_id)
    if assignment.status == "reported":
        if assignment.update_sha256 != stored.sha256:
            raise _other_update()
        return UpdateReceipt(assignment.round, duplicate=True)
    uploads.check_assignment(assignment.status, assignment.expires_at, now)
    counts_in = rules.counts_in(tx.round)
    if counts_in > tx.task.rounds:
        raise uploads.ended("closed")
    stale = rules.staleness(counts_in, assignment.round)
    if tx.task.round.mode == "asynchronous" and stale > tx.task.round.max_staleness:
        tx.round = rules.release(tx.round)
        tx.end_assignment(assignment, "failed", now, failure="too-stale")
        raise _too_stale(tx.task)
    if not (stored.norm <= tx.largest_norm() and stored.statistics_norm <= tx.largest_statistics_norm()):
        tx.round = rules.release(tx.round)
        tx.end_assignment(assignment, "failed", now, failure="norm-too-large")
        raise _too_large()
    tx.round = rules.report(tx.round, tx.task.round, devices=_devices_with(tx, assignment))
    tx.remember_norm(stored.norm)
    tx.end_assignment(
        assignment,
        "reported",
        now,
        counted_in=counts_in,
        examples=stored.examples,
        update_sha256=stored.sha256,
        update_digest=stored.digest,
        update_bytes=stored.size_bytes,
    )
    return UpdateReceipt(assignment.round)


def _devices_with(tx: TaskTransaction, assignment: StoredAssignment) -> int | None:
    """How many devices a buffer that is about to be full is of; None where that can't matter.

    A synchronous round takes one update of each device; a buffer may have two, from two start weights.
    """
    settings = tx.task.round
    if settings.mode == "synchronous" or tx.round.phase != "collecting" or tx.round.reported + 1 < settings.goal:
        return None
    return len(tx.devices_counted_in(tx.round.number) | {assignment.device_id})


def _too_large() -> Refused:
    return Refused(
        "the update is far larger than this task's updates are",
        remedy="look at this device's data and learning rate; scale a model's inputs; check in again",
        code="norm-too-large",
        status=409,
    )


def _too_stale(task: Task) -> Refused:
    return Refused(
        f"the global model has moved on by more than {task.round.max_staleness} rounds",
        remedy="drop this update and check in again",
        code="too-stale",
        status=409,
    )


def _other_update() -> Refused:
    return Refused(
        "another update was accepted for this assignment",
        remedy="send one update per assignment; check in for the next one",
        code="already-reported",
        status=409,
    )


def report_failure(
    coordinator: Coordinator, device: Device, assignment_id: str, report: FailureReport, now: float
) -> None:
    """A device gives its slot back. Saying it again is no fault; saying it after an update is."""
    with coordinator.store.read() as view:
        task_id = rows.current_assignment(view, assignment_id, device.id).task_id
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        assignment = rows.current_assignment(tx, assignment_id, device.id)
        if assignment.status == "reported":
            raise Refused(
                "this assignment has reported already",
                remedy="report a failure or an update, not both",
                code="already-reported",
                status=409,
            )
        if assignment.status != "open":
            return
        rows.end_assignment(tx, assignment.id, "failed", now, failure=report.code)
        rows.save_round(tx, row.id, rules.release(rows.as_round(rows.round_row(tx, row.id, row.round))))
        if report.code == unusable.MODEL_UNUSABLE and assignment.round == row.round:
            unusable.pause_if_agreed(tx, row)

"""What devices that check in are offered: read only."""

from dataclasses import dataclass, replace

from fedrela.coordinator.access import auth
from fedrela.coordinator.access.devices import Device, OpenAssignment
from fedrela.coordinator.context import Coordinator, parse_seal, parse_task
from fedrela.coordinator.rounds import rules, selection
from fedrela.coordinator.rounds.selection import NONE_YET, Candidate, Participation
from fedrela.coordinator.rounds.views import JoinableTask, View
from fedrela.coordinator.storage.rows import Row
from fedrela.core import signing
from fedrela.core.protocol import statements
from fedrela.core.task import Task
from fedrela.core.wire import Assignment, CheckIn, Wait


@dataclass(frozen=True)
class Applicant:
    """A device that is known and has no assignment, and what it says of itself."""

    device: Device
    check_in: CheckIn


@dataclass(frozen=True)
class Offer:
    """The tasks that want a device, the emptiest first, and its answer if all their slots are gone."""

    applicant: Applicant
    task_ids: tuple[str, ...]
    wait: Wait


def resumed(view: View, applicant: Applicant, held: OpenAssignment, now: float) -> Assignment | Wait:
    """A device that lost its assignment gets the same one, with what is left of its lease."""
    task, record = view.task_and_round(held.task_id, held.round)
    if task.status != "running":
        return _wait("paused", parse_task(task.task_json), candidate_of(applicant), view.coordinator, now)
    return assignment(view.coordinator, task, record, held.assignment_id, held.compute_until - now)


def offer(view: View, applicant: Applicant, now: float) -> Offer | Wait:
    """The tasks that a device may join, or when to come back."""
    candidate, population = candidate_of(applicant), applicant.device.population
    tasks = view.open_tasks(population)
    candidates = [_in_round(view, open_, applicant.device, candidate, now) for open_ in tasks]
    reasons = [_reason(open_, one, now) for open_, one in zip(tasks, candidates, strict=True)]
    if tasks:
        # round-full: the answer of a task that wants the device, if another device is quicker
        waits = [
            _wait(reason or "round-full", open_.task, one, view.coordinator, now)
            for open_, one, reason in zip(tasks, candidates, reasons, strict=True)
        ]
        wait = min(waits, key=_usefulness)
    else:
        wait = _wait(
            "finished" if view.has_finished_task(population) else "no-task", None, candidate, view.coordinator, now
        )
    wanting = [open_ for open_, reason in zip(tasks, reasons, strict=True) if reason is None]
    task_ids = [open_.id for open_ in sorted(wanting, key=lambda open_: (_fullness(open_), open_.id))]
    if (held := applicant.device.open_assignment) is not None:
        # The lease is over, but nobody has swept it yet: joining its task does, and frees the device for every other.
        task_ids = [held.task_id, *(task_id for task_id in task_ids if task_id != held.task_id)]
    return Offer(applicant, tuple(task_ids), wait) if task_ids else wait


def _in_round(view: View, open_: JoinableTask, device: Device, candidate: Candidate, now: float) -> Candidate:
    """The candidate with what it did in a task's open round, where that matters: it says more than a full round."""
    reason = selection.refusal(open_.task, open_.manifest, candidate, open_.round, now)
    if open_.status != "running" or reason not in (None, "round-full"):
        return candidate
    return replace(candidate, participation=view.participation(open_, device))


def _reason(open_: JoinableTask, candidate: Candidate, now: float) -> selection.Reason | None:
    """Why a task doesn't want the device; None where it does."""
    if open_.status != "running":
        return "paused"
    return selection.refusal(open_.task, open_.manifest, candidate, open_.round, now)


def _fullness(open_: JoinableTask) -> float:
    return (open_.round.open + open_.round.reported) / rules.slots(open_.task.round)


def candidate_of(applicant: Applicant, participation: Participation = NONE_YET) -> Candidate:
    """What the rules of selection look at."""
    device, check_in = applicant.device, applicant.check_in
    return Candidate(
        device.public_key,
        check_in.client,
        check_in.runtimes,
        check_in.features,
        device.last_assignment_at,
        participation,
    )


def _usefulness(wait: Wait) -> tuple[bool, float]:
    """Of several answers the one that lets the device come back soonest is right, but a paused task's least."""
    return wait.reason == "paused", wait.retry_after_seconds


def _wait(
    reason: selection.Reason, task: Task | None, candidate: Candidate, coordinator: Coordinator, now: float
) -> Wait:
    seconds = selection.retry_after_seconds(reason, task, candidate, now, coordinator.settings.idle_retry_seconds)
    return Wait(seconds, reason)


def assignment(
    coordinator: Coordinator, task: Row, record: Row, assignment_id: str, lease_seconds: float
) -> Assignment:
    """An assignment of a round, with so much lease; `signed` makes it one for a certain device."""
    settings = parse_task(task.task_json).round
    return Assignment(
        assignment_id=assignment_id,
        task_id=task.id,
        round=record.number,
        task_sha256=task.task_sha256,
        manifest_sha256=task.manifest_sha256,
        checkpoint_sha256=record.base_checkpoint_sha256,
        checkpoint_bytes=record.base_checkpoint_bytes,
        compute_lease_seconds=round(max(lease_seconds, 0.0), 3),
        upload_lease_seconds=settings.upload_lease_seconds,
        upload_token=auth.upload_token(coordinator.settings.signing_key, assignment_id),
        epoch=coordinator.standing.epoch,
        clip_millionths=record.clip_millionths,
        seal=parse_seal(task.seal_json),
    )


def signed(coordinator: Coordinator, unsigned: Assignment, device: Device, nonce: str) -> Assignment:
    """The answer to the check-in of that nonce, which no other device and no later check-in can be given."""
    text = statements.assignment(unsigned, device.id, device.population, nonce)
    return replace(unsigned, signature=signing.sign(coordinator.settings.signing_key, text))

"""Requests that came at the same time, done together: one view for all, one transaction and one sync to disk per task.

The rules (`rounds/service.py`, `rounds/uploads.py`) know of one device each. Here they are given what they read, and
what they raise becomes the answer to the one request that it is about. Where a whole transaction fails, it is done
again with a savepoint for each request, so that the one at fault fails alone.

    answers = group_commit.accept_updates(coordinator, stored_updates, coordinator.store.now())
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError as ConstraintError

from fedrela.coordinator.access import devices
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.rounds import offers, service, upload_claims, uploads
from fedrela.coordinator.rounds.offers import Applicant, Offer
from fedrela.coordinator.rounds.service import CheckInRequest
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.rounds.uploads import StoredUpdate, Upload, UploadHeaders
from fedrela.coordinator.rounds.views import View
from fedrela.coordinator.secure import turns
from fedrela.coordinator.secure.turns import Admitted, Sent
from fedrela.coordinator.storage import rows
from fedrela.core.errors import FedRelaError
from fedrela.core.wire import Assignment, UpdateReceipt, Wait

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True)
class _Step(Generic[T, R]):
    """A rule for one request, and what it will read, loaded for all of them at once."""

    rule: Callable[[TaskTransaction, T, float], R]
    preload: Callable[[TaskTransaction, list[T]], None]


_JOIN: _Step[Applicant, Assignment | None] = _Step(
    service.join, lambda tx, applicants: tx.preload_devices([one.device.id for one in applicants])
)
_ACCEPT_UPDATE: _Step[StoredUpdate, UpdateReceipt] = _Step(
    service.accept_update, lambda tx, updates: tx.preload_assignments([update.assignment_id for update in updates])
)
_ACCEPT_SECURE: _Step[Admitted, None] = _Step(
    turns.accept, lambda tx, sent: tx.preload_assignments([one.assignment_id for one in sent])
)


def check_ins(
    coordinator: Coordinator, requests: list[CheckInRequest], now: float
) -> list[Assignment | Wait | Exception]:
    """`service.check_in` for each, and `service.join` for those who are offered a slot.

    Assignments are signed at the end, each for its check-in: no transaction waits for that.
    """
    with coordinator.store.read() as connection:
        view = View(coordinator, connection, [request.credentials for request in requests])
        answers = [_attempt(service.check_in, view, request, now) for request in requests]
    devices.note_seen(coordinator, view.devices(), now)
    # A device that asks twice at once gets one slot, and hears of it twice.
    offered = {answer.applicant.device.id: answer for answer in answers if isinstance(answer, Offer)}
    joined = _join_all(coordinator, list(offered.values()), now)
    settled = [
        joined.get(answer.applicant.device.id, answer.wait) if isinstance(answer, Offer) else answer
        for answer in answers
    ]
    return [
        offers.signed(coordinator, answer, view.device(request.credentials), request.check_in.nonce)
        if isinstance(answer, Assignment)
        else answer
        for request, answer in zip(requests, settled, strict=True)
    ]


def _join_all(coordinator: Coordinator, offered: list[Offer], now: float) -> dict[str, Assignment | Exception]:
    """Each device tries its tasks in their order: all try their first, then those who got nothing their second ..."""
    joined: dict[str, Assignment | Exception] = {}
    for rank in range(max((len(offer.task_ids) for offer in offered), default=0)):
        by_task: dict[str, list[Applicant]] = defaultdict(list)
        for offer in offered:
            if rank < len(offer.task_ids) and offer.applicant.device.id not in joined:
                by_task[offer.task_ids[rank]].append(offer.applicant)
        for task_id in sorted(by_task):
            answers = _in_transaction(coordinator, task_id, by_task[task_id], now, _JOIN)
            for applicant, answer in zip(by_task[task_id], answers, strict=True):
                # The database refuses a second assignment: the device took one through another connection just now.
                if answer is not None and not isinstance(answer, ConstraintError):
                    joined[applicant.device.id] = answer
    return joined


def begin_uploads(coordinator: Coordinator, headers: list[UploadHeaders], now: float) -> list[Upload | FedRelaError]:
    """`uploads.begin_upload` for each that is its assignment's only one, and `uploads.extend_lease` where needed."""
    with coordinator.store.read() as connection:
        view = View(
            coordinator, connection, [one.credentials for one in headers], [one.assignment_id for one in headers]
        )
        begun = [_attempt(uploads.begin_upload, view, one, now) for one in headers]
    claimed = iter(upload_claims.claim(coordinator, [one for one in begun if isinstance(one, Upload)], now))
    answers = [next(claimed) if isinstance(one, Upload) else one for one in begun]
    return [
        _attempt(uploads.extend_lease, coordinator, one, now) if isinstance(one, Upload) else one for one in answers
    ]


def accept_updates(coordinator: Coordinator, stored: list[StoredUpdate], now: float) -> list[UpdateReceipt | Exception]:
    """`service.accept_update` for each. What is acknowledged is durable."""
    by_task: dict[str, list[int]] = defaultdict(list)
    for index, update in enumerate(stored):
        by_task[update.task_id].append(index)
    answers: dict[int, UpdateReceipt | Exception] = {}
    for task_id in sorted(by_task):
        indices = by_task[task_id]
        counted = _in_transaction(coordinator, task_id, [stored[index] for index in indices], now, _ACCEPT_UPDATE)
        answers |= zip(indices, counted, strict=True)
    return [answers[index] for index in range(len(stored))]


def secure_messages(coordinator: Coordinator, sent: list[Sent], now: float) -> list[Exception | None]:
    """`turns.accept` for each. What is acknowledged is durable."""
    with coordinator.store.read() as connection:
        view = View(coordinator, connection, [one.credentials for one in sent], [one.assignment_id for one in sent])
        admitted = [_attempt(turns.admit, view, one, now) for one in sent]
    by_task: dict[str, list[int]] = defaultdict(list)
    for index, one in enumerate(admitted):
        if isinstance(one, Admitted):
            by_task[one.task_id].append(index)
    answers: dict[int, Exception | None] = {
        index: one for index, one in enumerate(admitted) if isinstance(one, Exception)
    }
    for task_id in sorted(by_task):
        indices = by_task[task_id]
        messages = [one for index in indices if isinstance(one := admitted[index], Admitted)]
        taken = _in_transaction(coordinator, task_id, messages, now, _ACCEPT_SECURE)
        answers |= zip(indices, taken, strict=True)
    return [answers[index] for index in range(len(sent))]


def _in_transaction(
    coordinator: Coordinator, task_id: str, items: list[T], now: float, step: _Step[T, R]
) -> list[R | Exception]:
    """One transaction for all requests of a task; if that fails, one in which each can fail alone."""
    try:
        try:
            with coordinator.store.write() as connection:
                answers, awaits_aggregation = _apply(coordinator, connection, task_id, items, now, step)
        except FedRelaError:
            raise
        except Exception:
            with coordinator.store.write() as connection:
                answers, awaits_aggregation = _apply_one_by_one(coordinator, connection, task_id, items, now, step)
    except FedRelaError as error:  # there is no such task, or the database can't do it now: nothing was done
        return [error] * len(items)
    if awaits_aggregation:
        coordinator.wake.set()
    return answers


def _apply(
    coordinator: Coordinator, connection: sa.Connection, task_id: str, items: list[T], now: float, step: _Step[T, R]
) -> tuple[list[R | Exception], bool]:
    """The answers, and whether the round waits for its aggregation."""
    tx = TaskTransaction(coordinator, connection, task_id)
    step.preload(tx, items)
    answers: list[R | Exception] = [_attempt(step.rule, tx, item, now) for item in items]
    tx.flush(now)
    return answers, tx.awaits_aggregation


def _apply_one_by_one(
    coordinator: Coordinator, connection: sa.Connection, task_id: str, items: list[T], now: float, step: _Step[T, R]
) -> tuple[list[R | Exception], bool]:
    """The same with a savepoint for each."""
    rows.lock_task(connection, task_id)  # outside every savepoint: going back to one lets go of its locks
    answers: list[R | Exception] = []
    awaits_aggregation = False
    for item in items:
        try:
            with coordinator.store.savepoint(connection):
                (answer,), awaits = _apply(coordinator, connection, task_id, [item], now, step)
        except Exception as error:
            answers.append(error)
        else:
            answers.append(answer)
            awaits_aggregation |= awaits
    return answers, awaits_aggregation


def _attempt(rule: Callable[[S, T, float], R], on: S, item: T, now: float) -> R | FedRelaError:
    """What a rule gives, or what it raises for its caller."""
    try:
        return rule(on, item, now)
    except FedRelaError as error:
        return error

"""What devices do, where the rules of a round meet storage: each thing happens whole or not at all.

    publish ──► join ──► begin_upload ──► accept_update ──► (aggregation.py) ──► commit ──► the next round
                 │                            ▲
                 └── report_failure           └── tick: leases and deadlines (like commit, in closing.py)

Check-ins, and updates, that come at the same time are done in one transaction (`rounds/batching.py`), so that the disk
is synced once for all of them. May import `core`, SQLAlchemy and the storage modules of this package; knows nothing of
HTTP. `now` is in seconds of the coordinator's clock and is always passed in.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError as ConstraintError

from fedrela.coordinator.access import auth, devices
from fedrela.coordinator.access.devices import Device
from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import closing, offers, rules, selection, uploads
from fedrela.coordinator.rounds.offers import Asking, Offer
from fedrela.coordinator.rounds.uploads import Upload
from fedrela.coordinator.storage import blobs, rows, schema
from fedrela.core import encodings, signing
from fedrela.core.errors import FedRelaError, Refused
from fedrela.core.task import Task
from fedrela.core.wire import Assignment, CheckIn, FailureReport, UpdateReceipt, Wait

T = TypeVar("T")
_NEW_TURN = sa.insert(schema.assignments)
_LAST_TURN = (
    sa.update(schema.devices)
    .where(schema.devices.c.id == sa.bindparam("device"))
    .values(last_turn_at=sa.bindparam("now"))
)


@dataclass(frozen=True)
class Caller:
    """A check-in, and the hash of the token that it came with."""

    token_hash: str
    check_in: CheckIn


@dataclass(frozen=True)
class Delivered:
    """An update that is checked and stored but not counted yet, as columns of its turn."""

    upload: Upload
    columns: dict[str, Any]


def join(c: Coordinator, caller: Caller, now: float) -> Assignment | Wait:
    """Give the device a turn, the turn it has already, or a time to come back. Writes only if it gives a new turn."""
    return _only(join_all(c, [caller], now))


def join_all(c: Coordinator, callers: list[Caller], now: float) -> list[Assignment | Wait | FedRelaError]:
    """The same for many: one view of the database for all, and one transaction for each task that gives turns."""
    answers: dict[int, Assignment | Wait | FedRelaError] = {}
    asking: dict[int, Asking] = {}
    overdue: set[str] = set()
    with c.store.read() as view:
        known = devices.identify_all(view, [caller.token_hash for caller in callers])
        for index, caller in enumerate(callers):
            device = known.get(caller.token_hash)
            if device is None:
                answers[index] = auth.unauthenticated()
                continue
            held = device.open_turn
            if (fault := devices.fault(device, caller.check_in)) is not None:
                answers[index] = fault
            elif held is None:
                if all(one.device.id != device.id for one in asking.values()):
                    asking[index] = Asking(device, caller.check_in)
            elif held.expires_at > now:
                answers[index] = offers.resumed(c, view, Asking(device, caller.check_in), held, now)
            else:
                overdue.add(held.task_id)  # its lease is over, but nobody has swept it yet
        offered = dict(zip(asking, offers.offers(c, view, list(asking.values()), now), strict=True))
    answers |= _give_turns(c, asking, offered, now)
    for task_id in sorted(overdue):
        closing.tick_task(c, task_id, now)
    later = [index for index in range(len(callers)) if index not in answers]  # overdue, or a device's second check-in
    if later:
        answers |= zip(later, join_all(c, [callers[index] for index in later], now), strict=True)
    return [answers[index] for index in range(len(callers))]


def _give_turns(
    c: Coordinator, asking: dict[int, Asking], offered: dict[int, Offer], now: float
) -> dict[int, Assignment | Wait]:
    """Each device takes a slot in the first of its tasks that still has one, or waits."""
    answers: dict[int, Assignment | Wait] = {}
    options = {index: iter(offer.task_ids) for index, offer in offered.items()}
    while options:
        by_task: dict[str, list[int]] = defaultdict(list)
        for index in list(options):
            task_id = next(options[index], None)
            if task_id is None:
                answers[index] = offered[index].wait
                del options[index]
            else:
                by_task[task_id].append(index)
        for task_id in sorted(by_task):
            taken = _take_slots(c, task_id, [asking[index] for index in by_task[task_id]], now)
            for index, assignment in zip(by_task[task_id], taken, strict=True):
                if assignment is not None:
                    answers[index] = assignment
                    del options[index]
    return answers


def _take_slots(c: Coordinator, task_id: str, asking: list[Asking], now: float) -> list[Assignment | None]:
    """One transaction: look again under the lock, then take the slots. None where there is none any more."""
    given: dict[str, str] = {}  # device -> assignment
    try:
        with c.store.write() as tx:
            row = rows.lock_task(tx, task_id)
            task = parse_task(row.task_json)
            if row.status != "running" or row.round > task.rounds:
                return [None] * len(asking)
            record = rows.round_row(tx, task_id, row.round)
            round_, _ = rows.expire_turns(tx, task_id, rows.as_round(record), now)
            had_turn = offers.had_turn(tx, task_id, row.round, [one.device.id for one in asking], lock=True)
            manifest = c.manifest(row.manifest_sha256)
            for one in asking:
                # A device that is not found was revoked meanwhile.
                candidate = offers.candidate_of(one, had_turn.get(one.device.id, True))
                if selection.refusal(task, manifest, candidate, round_, now) is None:
                    round_ = rules.join(round_, task.round, now)
                    given[one.device.id] = auth.new_id("a")
            rows.save_round(tx, task_id, round_)
            _insert_turns(tx, given, task_id, row.round, task, now)
    except ConstraintError:  # a device took a turn through another connection at this very moment
        if len(asking) == 1:
            return [None]
        return [taken for one in asking for taken in _take_slots(c, task_id, [one], now)]
    lease, names = task.round.compute_lease_seconds, [given.get(one.device.id) for one in asking]
    return [offers.assignment(c, row, record, name, lease) if name else None for name in names]


def _insert_turns(tx: sa.Connection, given: dict[str, str], task_id: str, number: int, task: Task, now: float) -> None:
    if not given:
        return
    until = now + task.round.compute_lease_seconds
    turn = {"task_id": task_id, "round": number, "assigned_at": now, "status": "open", "evaluated": False}
    turn |= {"compute_until": until, "expires_at": until}
    ordered = sorted(given)  # so that two workers never wait for each other's devices
    tx.execute(_NEW_TURN, [turn | {"id": given[device], "device_id": device} for device in ordered])
    tx.execute(_LAST_TURN, [{"device": device, "now": now} for device in ordered])


def accept_update(c: Coordinator, upload: Upload, body: bytes, now: float) -> UpdateReceipt:
    """Check the body, store it, then count it; the same body again is answered and counted once.

    Raises InvalidTensors or InvalidMessage (nothing is stored), or Refused where the turn ended meanwhile.
    """
    return _only(count_all(c, [store_update(c, upload, body)], now))


def store_update(c: Coordinator, upload: Upload, body: bytes) -> Delivered:
    """The first half: check the body and store it. Nothing refers to it yet."""
    sha256 = signing.sha256(body)
    if upload.stored_sha256 is not None:
        return Delivered(upload, {"update_sha256": sha256})  # only to be compared
    _, metadata = encodings.decode(body, upload.manifest.weights, upload.task.aggregation.encoding)
    c.blobs.put(blobs.update(upload.assignment_id, sha256), body)
    counted = {"examples": metadata.examples, "update_sha256": sha256, "update_bytes": len(body)}
    return Delivered(upload, counted | {"update_digest": blobs.quick_digest(body)})


def count_all(c: Coordinator, delivered: list[Delivered], now: float) -> list[UpdateReceipt | FedRelaError]:
    """The second half, for many: one transaction per task. What it acknowledges is durable when it returns."""
    by_task: dict[str, dict[str, int]] = defaultdict(dict)  # task -> turn -> index
    for index, one in enumerate(delivered):
        by_task[one.upload.task_id].setdefault(one.upload.assignment_id, index)
    answers: dict[int, UpdateReceipt | FedRelaError] = {}
    for task_id in sorted(by_task):
        indices = list(by_task[task_id].values())
        answers |= zip(indices, _count(c, task_id, [delivered[index] for index in indices], now), strict=True)
    later = [index for index in range(len(delivered)) if index not in answers]  # the same turn's update again
    if later:
        answers |= zip(later, count_all(c, [delivered[index] for index in later], now), strict=True)
    return [answers[index] for index in range(len(delivered))]


def _count(c: Coordinator, task_id: str, delivered: list[Delivered], now: float) -> list[UpdateReceipt | FedRelaError]:
    """One transaction: each turn that may still report ends, and the round moves on by as many."""
    answers: list[UpdateReceipt | FedRelaError] = []
    ended: list[dict[str, Any]] = []
    with c.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        task = parse_task(row.task_json)
        record = rows.round_row(tx, task_id, min(row.round, task.rounds))  # a finished task's last round
        before = round_ = rows.as_round(record)
        turns = rows.turns(tx, [one.upload.assignment_id for one in delivered])
        for one in delivered:
            try:
                answer, round_, columns = uploads.counted(
                    task, round_, turns[one.upload.assignment_id], one.columns, now
                )
                ended += [columns] if columns else []
            except FedRelaError as error:
                answer = error
            answers.append(answer)
        if ended:
            rows.end_reported(tx, ended)
            received = sum(columns["update_bytes"] or 0 for columns in ended)
            closed = {"closed_at": now} if round_.phase != before.phase else {}
            rows.save_round(tx, task_id, round_, update_bytes=record.update_bytes + received, **closed)
    if round_.phase == "aggregating":
        c.wake.set()
    return answers


def _only(answers: list[T | FedRelaError]) -> T:
    (answer,) = answers
    if isinstance(answer, FedRelaError):
        raise answer
    return answer


def report_failure(c: Coordinator, device: Device, assignment_id: str, report: FailureReport, now: float) -> None:
    """A device gives its slot back. Saying it again is no fault; saying it after an update is."""
    with c.store.read() as view:
        task_id = rows.current_turn(view, assignment_id, device.id).task_id
    with c.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        turn = rows.current_turn(tx, assignment_id, device.id)
        if turn.status == "reported":
            raise Refused(
                "this turn has reported already",
                remedy="report a failure or an update, not both",
                code="already-reported",
                status=409,
            )
        if turn.status != "open":
            return
        rows.end_turn(tx, turn.id, "failed", now, failure=report.code)
        rows.save_round(tx, row.id, rules.release(rows.as_round(rows.round_row(tx, row.id, row.round))))

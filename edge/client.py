"""DeviceClient: the device's half of the walk. Read `run_once` first.

The whole world is handed in: the HTTP client behind `CoordinatorApi`, the store, the clock, the data and the sensors;
so one class serves a Raspberry Pi, another program that embeds it, and a virtual device of an emulated fleet.
May import `core` and the other modules of `edge`.

    identity = enrol(api, FolderStore(folder), link)
    client = DeviceClient(api, FolderStore(folder), data=lambda manifest: examples)
    outcome = client.run_once()
"""

import random
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Event as StopEvent
from typing import Any, Literal

from core import signing
from core.errors import (
    FedRelaError,
    IntegrityError,
    InvalidData,
    InvalidInput,
    InvalidMessage,
    MissingDependency,
    Refused,
    Unavailable,
    VerificationFailed,
)
from core.wire import Assignment, CheckIn, EnrolRequest, FailureCode, FailureReport
from edge import state
from edge.api import CoordinatorApi, Sent
from edge.eligibility import Conditions, reasons
from edge.engines import EnginePool
from edge.fetch import Fetcher
from edge.settings import DeviceSettings, Event
from edge.state import Identity, SentLog
from edge.store import Store
from edge.work import DataSource, TurnFailed, Worker

CLIENT_VERSION = "0.1.0"
LONGEST_WAIT_SECONDS = 86_400.0  # a coordinator can't put a device off for longer
OFFLINE_SECONDS = 300.0  # the longest pause between two attempts to reach a coordinator that is away


def steady_clock() -> Callable[[], float]:
    """Seconds since 1970 that never jump: a Raspberry Pi learns the time only after it has started.

    Time that the device sleeps counts, as it does for the coordinator.
    """
    start = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return lambda: start + time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Outcome:
    """How a turn ended. `reason`: of a wait, a failure or a refusal."""

    kind: Literal["uploaded", "waiting", "dropped", "stopped"]
    reason: str = ""
    retry_after_seconds: float = 0.0
    round: int = 0
    duplicate: bool = False


@dataclass
class DeviceClient:
    """One enrolled device. Raises InvalidInput when made from a store that holds no enrolment.

    `data` is asked anew each turn, so data may grow. `stop` ends a turn at the next batch boundary, its state kept.
    """

    api: CoordinatorApi
    store: Store
    data: DataSource
    pool: EnginePool = field(default_factory=EnginePool)
    settings: DeviceSettings = field(default_factory=DeviceSettings)
    blobs: Store | None = None  # where programs and weights are kept, if not in `store`; may be shared by devices
    conditions: Callable[[], Conditions] = Conditions
    now: Callable[[], float] = field(default_factory=steady_clock)
    sleep: Callable[[float], Any] = time.sleep
    uniform: Callable[[], float] = random.random
    stop: StopEvent = field(default_factory=StopEvent)
    on_event: Callable[[Event], None] = lambda event: None

    def __post_init__(self) -> None:
        identity = state.load_identity(self.store)
        if identity is None or not identity.device_id:
            raise InvalidInput("this device has not enrolled yet", remedy="run: fedrela device enrol <link>")
        self.identity: Identity = identity
        self._log = SentLog(self.store, self.settings.keep_sent_bodies)
        self.api.url, self.api.token = identity.url, identity.device_token
        self.api.stopped = self.stop.is_set
        self.api.sent = self._record
        blobs = self.store if self.blobs is None else self.blobs
        self._fetcher = Fetcher(
            self.api, self.store, blobs, self.pool, identity.coordinator_public_key, self.settings.max_download_bytes
        )

    def run_once(self) -> Outcome:
        """One turn: go on with the one that was interrupted, or check in; then train and upload.

        Raises Unavailable where the coordinator can't be reached (the turn is kept), InvalidData for local examples
        that can't be used, Refused where the coordinator no longer knows this device.
        """
        turn = self.resume() or self.check_in()
        if isinstance(turn, Outcome):
            return turn
        try:
            update = self.train(turn)
            return Outcome("stopped") if update is None else self.upload(turn, update)
        except (InvalidInput, IntegrityError, VerificationFailed, MissingDependency, TurnFailed) as fault:
            outcome = self.drop(turn, fault)
            if isinstance(fault, InvalidData):
                raise
            return outcome

    def run(self, on_outcome: Callable[[Outcome], None] = lambda outcome: None) -> None:
        """Turn after turn until `stop` is set. A coordinator that is away is asked again, ever less often."""
        failures = 0
        while not self.stop.is_set():
            try:
                outcome, failures = self.run_once(), 0
            except Unavailable as fault:
                failures += 1
                pause = min(OFFLINE_SECONDS, 2.0 ** min(failures, 16)) * (0.5 + 0.5 * self.uniform())
                outcome = Outcome("waiting", fault.problem, pause)
            on_outcome(outcome)
            if outcome.retry_after_seconds:
                self.sleep(outcome.retry_after_seconds)

    def resume(self) -> state.Turn | None:
        """The turn that was under way when this device stopped, unless its lease has run out by this device's clock."""
        turn = state.load_turn(self.store)
        return None if turn is None or self.now() > turn.upload_until() else turn

    def check_in(self) -> state.Turn | Outcome:
        """Offer to work. The coordinator gives an assignment or a time to come back.

        It is the judge of leases: where it still counts on the turn that this device has, the turn goes on.
        """
        obstacles = reasons(self.conditions(), self.settings.eligibility)
        if obstacles:
            return Outcome("waiting", "; ".join(obstacles), self.settings.pause_seconds)
        answer = self.api.check_in(CheckIn(self.identity.population, CLIENT_VERSION, self.pool.offered()))
        held = state.load_turn(self.store)
        if answer.assignment is not None and held is not None and is_same(held.assignment, answer.assignment):
            turn = replace(held, assignment=answer.assignment, received_at=self.now())
            state.save_turn(self.store, turn)
            return turn
        state.clear_turn(self.store)
        if held is not None:
            self._tell("dropped", held, "the lease ran out while the device was away")
        if answer.assignment is None:
            assert answer.wait is not None  # api.check_in: exactly one of the two
            pause = min(max(answer.wait.retry_after_seconds, 0.0), LONGEST_WAIT_SECONDS)
            return Outcome("waiting", answer.wait.reason, pause)
        turn = state.Turn(answer.assignment, self.now())
        state.save_turn(self.store, turn)
        self._tell("assigned", turn)
        return turn

    def train(self, turn: state.Turn) -> bytes | None:
        """The update of a turn: fetched, verified, re-labeled when due, trained. None where `stop` interrupted it."""
        finished = self.store.get("turn/update")
        if finished is not None:
            return finished
        job = self._fetcher.job(turn.assignment)
        self._tell("ready", turn)
        worker = Worker(
            job=job,
            turn_record=turn,
            secret=bytes.fromhex(self.identity.secret),
            store=self.store,
            source=self.data,
            settings=self.settings,
            conditions=self.conditions,
            now=self.now,
            sleep=self.sleep,
            stop=self.stop,
            emit=self.on_event,
            evaluate=lambda report: self.api.evaluation(turn.assignment, report),
        )
        return worker.update()

    def upload(self, turn: state.Turn, update: bytes) -> Outcome:
        """Send the update; it may be sent any number of times and counts once."""
        if self.now() > turn.upload_until():
            raise TurnFailed("timed-out", "the lease ran out before the upload")
        try:
            receipt = self.api.update(turn.assignment, update)
        except Refused as refusal:
            if refusal.status == 401:
                raise
            state.clear_turn(self.store)
            self._tell("dropped", turn, str(refusal))
            return Outcome("dropped", refusal.code, round=turn.assignment.round)
        state.commit_residual(self.store, turn.assignment.task_id)
        state.clear_turn(self.store)
        self._tell("uploaded", turn)
        return Outcome("uploaded", round=turn.assignment.round, duplicate=receipt.duplicate)

    def drop(self, turn: state.Turn, fault: Exception) -> Outcome:
        """Give a turn up and say why, by code. That report may fail: the lease runs out by itself."""
        code = failure_code(fault)
        state.clear_turn(self.store)
        with suppress(Refused, Unavailable, InvalidMessage):
            self.api.failure(turn.assignment, FailureReport(code))
        self._tell("dropped", turn, str(fault))
        return Outcome("dropped", code, round=turn.assignment.round)

    def _record(self, sent: Sent) -> None:
        self._log.add(self.now(), sent.method, sent.path, sent.body)

    def _tell(self, kind: Any, turn: state.Turn, detail: str = "") -> None:
        self.on_event(Event(kind, turn.assignment.task_id, turn.assignment.round, detail=detail))


def enrol(api: CoordinatorApi, store: Store, token: str, *, secret: bytes = b"", private_key: str = "") -> Identity:
    """Join `api.url` with an enrolment token, and pin its key. The identity is kept in `store`.

    An enrolment cut off in the middle is safe to repeat: the device's own key is kept before anything is sent.
    `secret` and `private_key` are made at random unless given.
    """
    known = state.load_identity(store)
    if known is not None and known.device_id:
        raise InvalidInput(
            f"this device has already enrolled at {known.url}", remedy="run `fedrela device forget` first"
        )
    key = private_key or (known.private_key if known else signing.generate_key())
    own_secret = secret.hex() or (known.secret if known else secrets.token_hex(32))
    state.save_identity(store, Identity(api.url, "", "", "", "", key, own_secret))
    answer = api.enrol(EnrolRequest(token, signing.public_key(key)))
    identity = Identity(
        api.url,
        answer.device_id,
        answer.device_token,
        answer.coordinator_public_key,
        answer.population,
        key,
        own_secret,
    )
    state.save_identity(store, identity)
    return identity


def forget(api: CoordinatorApi, store: Store) -> None:
    """Tell the coordinator to forget this device, then delete everything the device keeps. Raises Unavailable first."""
    identity = state.load_identity(store)
    if identity is not None and identity.device_id:
        api.url, api.token = identity.url, identity.device_token
        try:
            api.leave()
        except Refused as refusal:
            if refusal.status not in (401, 404, 410):  # it has forgotten us already
                raise
    store.clear()


def is_same(held: Assignment, offered: Assignment) -> bool:
    """Whether two assignments are one turn on the same programs and weights; leases may differ."""
    return held.assignment_id == offered.assignment_id and held.message() == offered.message()


def failure_code(fault: Exception) -> FailureCode:
    """What the coordinator is told of a fault: its kind, never its text."""
    if isinstance(fault, TurnFailed):
        return fault.code
    if isinstance(fault, VerificationFailed):
        return "self-test-failed"
    if isinstance(fault, IntegrityError):
        return "integrity-failed"
    if isinstance(fault, MissingDependency | InvalidData):
        return "not-eligible"
    assert isinstance(fault, FedRelaError)
    return "training-failed"

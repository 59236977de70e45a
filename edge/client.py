"""DeviceClient: the device's half of the walk. Read `run_once` first.

The whole world is handed in: the HTTP client behind `CoordinatorApi`, the store, the clock, the data and the sensors;
so one class serves a Raspberry Pi, another program that embeds it, and a virtual device of an emulated fleet.

    identity = enroll(api, FolderStore(folder), link)
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
from typing import Any

from fedrela import __version__
from fedrela.core.errors import (
    IntegrityError,
    InvalidData,
    InvalidInput,
    InvalidMessage,
    MissingDependency,
    Refused,
    Unavailable,
    VerificationFailed,
)
from fedrela.core.wire import FEATURES, CheckIn, FailureReport
from fedrela.edge import patience
from fedrela.edge.conditions.clock import steady_clock
from fedrela.edge.conditions.eligibility import Conditions, reasons
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.network.admission import Admission, is_same
from fedrela.edge.network.api import CoordinatorApi, Sent
from fedrela.edge.network.fetch import Fetcher
from fedrela.edge.owner.membership import enroll, forget
from fedrela.edge.owner.settings import DeviceSettings, Event, Outcome
from fedrela.edge.secure import masked_rounds, vector
from fedrela.edge.secure.requirement import obstacle
from fedrela.edge.secure.turn import SecureTurn
from fedrela.edge.storage import state
from fedrela.edge.storage.kept import Room
from fedrela.edge.storage.sent_log import SentLog
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.store import Store
from fedrela.edge.training.examples import DataSource
from fedrela.edge.training.faults import failure_code, is_away
from fedrela.edge.training.work import AssignmentFailed, RoundWork

__all__ = ["DeviceClient", "Outcome", "enroll", "forget", "steady_clock"]

CLIENT = f"python {__version__}"
FAULTS = (InvalidInput, IntegrityError, VerificationFailed, MissingDependency, AssignmentFailed, MemoryError)
LONGEST_WAIT_SECONDS = 86_400.0  # a coordinator can't put a device off for longer


@dataclass
class DeviceClient:
    """One enrolled device. Raises InvalidInput when made from a store that holds no enrollment, MissingDependency where
    the settings require a sandbox that the pool doesn't have.

    `data` is asked anew for each assignment. `stop` interrupts at the next batch boundary; the state is kept.
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
        state.rename_former_keys(self.store)
        identity = state.load_enrolled(self.store)
        if self.settings.require_sandbox:
            self.pool.require_confinement()
        self.api.act_as(identity)
        self.api.stopped = self.stop.is_set
        if self.settings.keep_sent_log:
            self._log = SentLog(self.store, self.settings.keep_sent_bodies)
            self.api.sent = self._record
        blobs = self.store if self.blobs is None else self.blobs
        bounds = self.settings.max_tasks, self.settings.max_state_bytes
        self._room = Room(self.store, blobs, *bounds, self.now, self.pool.close)
        limits = (identity.publishers, self.settings.max_download_bytes, self._room)
        self._fetcher = Fetcher(self.api, self.store, blobs, self.pool, *limits)
        self._admission = Admission(self.api, self.store, identity, self.now, self.on_event)

    @property
    def identity(self) -> Identity:
        """Who this device is, with the coordinator's key as it is pinned now."""
        return self._admission.identity

    def run_once(self) -> Outcome:
        """One assignment: go on with the one that was interrupted, or check in; then train and upload.

        Raises Unavailable, InvalidMessage or Refused where the coordinator is away (`is_away`; the assignment is kept),
        InvalidData for local examples that can't be used, Refused where it no longer knows this device.
        """
        held = self.resume() or self.check_in()
        if isinstance(held, Outcome):
            return held
        try:
            update = self.train(held)
            return Outcome("stopped") if update is None else self.upload(held, update)
        except Refused as refusal:
            if is_away(refusal) or refusal.status == 401:
                raise
            return self.give_up(held, refusal.code, str(refusal))
        except InvalidMessage:
            raise
        except FAULTS as fault:
            outcome = self.drop(held, fault)
            if isinstance(fault, InvalidData):
                raise
            return outcome

    def run(self, on_outcome: Callable[[Outcome], None] = lambda outcome: None) -> None:
        """Assignment after assignment until `stop` is set; ever less often while nobody answers or all of them fail."""
        patience.repeat(self.run_once, on_outcome, stop=self.stop, sleep=self.sleep, uniform=self.uniform)

    def newest_manifest(self) -> bytes | None:
        """The manifest of the model that was trained last, if it is still kept."""
        return self._room.newest_manifest()

    def resume(self) -> state.HeldAssignment | None:
        """The assignment that was under way at the stop, unless its lease has run out by this device's clock."""
        held = state.load_assignment(self.store)
        return None if held is None or self.now() > held.upload_until() else held

    def check_in(self) -> state.HeldAssignment | Outcome:
        """Offer to work. The coordinator gives an assignment or a time to come back.

        It decides on leases: where it still counts on the assignment that this device holds, that one goes on.
        """
        obstacles = reasons(self.conditions(), self.settings.eligibility)
        if obstacles:
            return Outcome("waiting", "; ".join(obstacles), self.settings.pause_seconds)
        nonce = secrets.token_hex(16)
        offer = CheckIn(self.identity.population, CLIENT, self.pool.offered(), nonce, FEATURES)
        answer = self.api.check_in(offer)
        if answer.assignment is not None:
            try:
                self._admission.admit(answer.assignment, nonce)
            except IntegrityError as fault:
                return self.drop(state.HeldAssignment(answer.assignment, self.now()), fault)
        stored = state.load_assignment(self.store)
        if answer.assignment is not None and stored is not None and is_same(stored.assignment, answer.assignment):
            held = replace(stored, assignment=answer.assignment, received_at=self.now())
            state.save_assignment(self.store, held)
            return held
        state.clear_assignment(self.store)
        if stored is not None:
            self._tell("dropped", stored, "the lease ran out while the device was away")
        if answer.assignment is None:
            assert answer.wait is not None  # api.check_in: exactly one of the two
            self._room.let_go()
            pause = min(max(answer.wait.retry_after_seconds, 0.0), LONGEST_WAIT_SECONDS)
            return Outcome("waiting", answer.wait.known_reason(), pause)
        held = state.HeldAssignment(answer.assignment, self.now())
        state.save_assignment(self.store, held)
        self._tell("assigned", held)
        return held

    def train(self, held: state.HeldAssignment) -> bytes | None:
        """The update of a round: fetched, verified, re-labeled when due, trained. None where `stop` came first."""
        task = self._fetcher.task(held.assignment)
        if refusal := obstacle(self.settings.privacy, task):
            raise AssignmentFailed("not-eligible", refusal)
        finished = self.store.get("assignment/update")
        if finished is not None:
            return finished
        if task.privacy.secure != "none":
            masked_rounds.check(self.store, held.assignment)  # here, too: what would not be sent is not trained
        job = self._fetcher.job(held.assignment)
        self._tell("ready", held)
        work = RoundWork(
            job=job,
            held=held,
            secret=bytes.fromhex(self.identity.secret),
            store=self.store,
            source=self.data,
            settings=self.settings,
            conditions=self.conditions,
            now=self.now, sleep=self.sleep, stop=self.stop, emit=self.on_event,
            evaluate=lambda report: self.api.evaluation(held.assignment, report),
        )  # fmt: skip
        return work.update()

    def upload(self, held: state.HeldAssignment, update: bytes) -> Outcome:
        """Send the update, or let a group hide it; it may be sent any number of times and counts once."""
        if self.now() > held.upload_until():
            raise AssignmentFailed("timed-out", "the lease ran out before the upload")
        if vector.is_vector(update):
            return self.upload_in_group(held, update)
        receipt = self.api.update(held.assignment, update)
        state.commit_residual(self.store, held.assignment.task_id)
        return self._uploaded(held, duplicate=receipt.duplicate)

    def upload_in_group(self, held: state.HeldAssignment, kept: bytes) -> Outcome:
        """Let a group hide the update: the coordinator learns the sum. Where it lies, nothing more is sent."""
        turn = SecureTurn(
            self.api, self.store, held, self._fetcher.task(held.assignment), self.identity, vector.vector_from(kept),
            now=self.now, sleep=self.sleep, stop=self.stop, tell=lambda text: self._tell("group", held, text),
        )  # fmt: skip
        try:
            ended = turn.run()
        except IntegrityError as lie:
            return self.give_up(held, failure_code(lie), str(lie))
        if ended is not None and ended.step == "closed":
            return self.give_up(held, "group-closed", str(ended.reason))
        return Outcome("stopped") if ended is None else self._uploaded(held, "inside a sum")

    def drop(self, held: state.HeldAssignment, fault: Exception) -> Outcome:
        """Give an assignment up and say why, by code. That report may fail: the lease runs out by itself."""
        code = failure_code(fault)
        state.clear_assignment(self.store)
        with suppress(Refused, Unavailable, InvalidMessage):
            self.api.failure(held.assignment, FailureReport(code))
        with suppress(Unavailable):
            self._room.tidy()
        # What is wrong with the data is told to whoever called, and to no event or log.
        detail = "the local examples can't be used" if isinstance(fault, InvalidData) else str(fault)
        return self.give_up(held, code, detail)

    def give_up(self, held: state.HeldAssignment, code: str, detail: str) -> Outcome:
        """Forget an assignment that is lost."""
        state.clear_assignment(self.store)
        self._tell("dropped", held, detail)
        return Outcome("dropped", code, round=held.assignment.round)

    def _uploaded(self, held: state.HeldAssignment, detail: str = "", *, duplicate: bool = False) -> Outcome:
        state.clear_assignment(self.store)
        self._tell("uploaded", held, detail)
        return Outcome("uploaded", round=held.assignment.round, duplicate=duplicate)

    def _record(self, sent: Sent) -> None:
        self._log.add(self.now(), sent.method, sent.path, sent.body)

    def _tell(self, kind: Any, held: state.HeldAssignment, detail: str = "") -> None:
        self.on_event(Event(kind, held.assignment.task_id, held.assignment.round, detail=detail))

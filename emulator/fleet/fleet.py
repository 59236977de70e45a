"""The fleet: wakes devices, and lets their requests reach the coordinator in the order of virtual time.

A discrete-event simulation. What is to happen stands in an `EventQueue`, by virtual time. A device that computes has
promised not to be heard before some time, so all that comes earlier may go on meanwhile, in any number of processes;
what comes later waits. The coordinator's answers therefore depend on the scenario alone, not on the machine.

Requests go out together only where the coordinator's answer can't depend on their order: check-ins while there is room
for all of them, updates while the round wants all of them.

    Fleet(scenario, task, task_id, admin, workers, profiles, observer).run()
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from fedrela.coordinator.admin_client import AdminClient
from fedrela.core.errors import FedRelaError
from fedrela.core.task import Task
from fedrela.emulator.fleet.arrivals import Arrivals
from fedrela.emulator.fleet.event_queue import EventQueue
from fedrela.emulator.fleet.messages import Broken, Busy, Done, Enrolled, FromWorker, Grant, PendingRequest, Wake
from fedrela.emulator.fleet.observer import FleetObserver
from fedrela.emulator.fleet.paced_queue import PacedQueue
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.emulator.fleet.round_view import CoordinatorClock, RoundView
from fedrela.emulator.scenario import Scenario
from fedrela.emulator.workers.workers import Workers, enroll_all

_NOBODY = -1
_TOGETHER = 256  # devices woken at once, at most
_LOOK_AGAIN_SECONDS = 600.0  # virtual: when nobody was there who could be woken
_UNREACHABLE_SECONDS = 60.0
_WAITING_BYTES = 64_000_000  # of finished updates that wait for others, about
_MANY_USES = 100_000  # of an enrollment token, where devices leave and come back as new ones
_TOKEN_SECONDS = 10 * 365 * 86400.0  # more virtual time than any run takes


class EmulationFailed(FedRelaError):
    """The coordinator or the scenario brought the run to an end before the task was finished."""


@dataclass
class Fleet:
    """One run. The coordinator's time follows the scenario's if it is of that kind."""

    scenario: Scenario
    task: Task
    task_id: str
    admin: AdminClient
    workers: Workers
    profiles: DeviceProfiles
    observer: FleetObserver
    now: float = 0.0
    wake_ups: Counter[int] = field(default_factory=Counter)  # per device, so far
    _queue: EventQueue = field(default_factory=EventQueue)
    _unanswered: set[int] = field(default_factory=set)
    _waiting_bytes: dict[int, int] = field(default_factory=dict)  # device at a gate -> bytes of its request
    _active: dict[int, str] = field(default_factory=dict)  # "coming" to check in, "working" or "returning"
    _ticks: set[float] = field(default_factory=set)

    def run(self) -> None:
        """Enroll everybody, then play the scenario until the task is finished. Raises EmulationFailed."""
        self._clock = CoordinatorClock(self.admin)
        if not self._clock.virtual:
            self._queue = PacedQueue()
        self._arrivals = Arrivals(self.scenario, self.profiles)
        self._enroll()
        self._round_view = RoundView(self.admin, self.task, self.task_id, lossy=self.scenario.faults.lossy)
        if self.scenario.wake.mode == "poll":
            for device, t in self._arrivals.first_visits():
                self._wake(device, t, "coming")
        self._wake_more()
        while self._round_view.running:
            if not self._queue:
                self._queue.add(self.now + _LOOK_AGAIN_SECONDS, _NOBODY, "tick")
            self._advance()
            hours = self.scenario.max_hours
            if self.now > hours * 3600:
                raise EmulationFailed(
                    f"round {self._round_view.round.number} is still open after {hours:g} virtual hours",
                    remedy="raise max_hours, lower round.goal, or let more devices be awake",
                )
        if self._round_view.status != "finished":
            reason = self._round_view.problem or "no reason given"
            raise EmulationFailed(
                f"the coordinator ended the task as {self._round_view.status}: {reason}",
                remedy="look at `fedrela task show`; a longer deadline or a lower minimum may help",
            )
        self._hear_the_last()

    def _enroll(self) -> None:
        uses = _MANY_USES if self.scenario.faults.leave else self.scenario.devices
        link = self.admin.enrollment_link(self.task.population, uses, valid_seconds=_TOKEN_SECONDS)
        enroll_all(self.workers, self.scenario.devices, link)
        self.observer.started(self.scenario.devices)

    def _hear_the_last(self) -> None:
        """Wake-ups that the last round counted and cut off before their end; where time is real, they end first."""
        if not self._clock.virtual:
            self._queue.forget({"wake", "tick"})
            while self._queue:
                self._advance()
        for *_, kind, payload in self._queue.rest():
            if kind == "done":
                self._end_wake_up(payload)

    def _advance(self) -> None:
        """Take the earliest event, and what may go with it."""
        t, device, _, kind, payload = self._queue.first()
        if kind == "busy":
            self._queue.pop()
            while device in self._queue.busy:
                self._listen()
            return
        if kind == "wake":
            self._start_wake_ups(self._queue.wakes(self._clock.together, _TOGETHER))
            return
        self.now = t if self._clock.virtual else max(self.now, t)
        if kind == "gate":
            self._grant(payload)
            return
        self._queue.pop()
        if kind == "done":
            self._end_wake_up(payload)
            return
        if kind == "tick":
            self._clock.move_past(t)
            if not self._clock.virtual:
                time.sleep(1.0)
        self._settle()

    def _start_wake_ups(self, woken: list[tuple[float, int]]) -> None:
        for t, device in woken:
            self._unanswered.add(device)
            self.workers.send(device, Wake(device, self.wake_ups[device], t))
            self.wake_ups[device] += 1
        self._hear_from(device for _, device in woken)

    def _grant(self, kind: str) -> None:
        """Let requests through, and look afterwards what has become of the round."""
        if self._round_view.room(kind) > 1:
            self._gather(self.now)
        granted = self._queue.gates(self._clock.same_step, self._round_view.room)
        self._clock.move(granted[0][0])
        for _, device, _ in granted:
            self._waiting_bytes.pop(device, None)
            self._unanswered.add(device)
            self.workers.send(device, Grant(device))
        answers = self._hear_from(device for _, device, _ in granted)
        now = self._clock.now
        surprising = [self._round_view.count(kind, answers.get(device), now) for _, device, kind in granted]
        if any(surprising):
            self._queue.add(granted[-1][0], _NOBODY, "settle")

    def _gather(self, t: float) -> None:
        """Let devices compute that may send while the coordinator's clock shows the same time: they go together."""
        while sum(self._waiting_bytes.values()) < _WAITING_BYTES and any(
            self._clock.together(until, t) for until in self._queue.busy.values()
        ):
            self._listen()

    def _end_wake_up(self, done: Done) -> None:
        self._active.pop(done.device, None)
        if not self._round_view.running:  # the task is over, and this wake-up counts if the task has counted it
            if done.kind == "uploaded":
                self.observer.done(done)
            return
        self.observer.done(done)
        lease = self.task.round.compute_lease_seconds + self.task.round.upload_lease_seconds
        if done.kind in ("drop-out", "crash"):
            self._queue.add(done.t + lease, _NOBODY, "tick")
        if done.kind == "crash":
            self._wake(done.device, done.t + self.scenario.faults.crash_seconds, "returning")
        elif done.kind == "unreachable":
            self._wake(done.device, done.t + _UNREACHABLE_SECONDS, "returning")
        elif self.scenario.wake.mode == "poll":
            self._wake(done.device, self._arrivals.next_visit(done, self.wake_ups[done.device], lease), "coming")
        else:
            self._wake_more()

    def _settle(self) -> None:
        """See where the task stands; record the rounds that were committed."""
        self._round_view.look()
        for record in self._round_view.new_commits():
            self.observer.committed(record, self.now)
        deadline_at = self._round_view.round.deadline_at
        if self._clock.virtual and deadline_at is not None and deadline_at not in self._ticks:
            self._ticks.add(deadline_at)
            self._queue.add(deadline_at - self._clock.base, _NOBODY, "tick")
        self._wake_more()

    def _wake_more(self) -> None:
        """On demand: as many devices as the round has room for and are not on their way already."""
        round_view = self._round_view
        if self.scenario.wake.mode != "on-demand" or not round_view.running:
            return
        coming = sum(state == "coming" for state in self._active.values())
        missing = round_view.free() - coming
        woken = self._arrivals.wave(missing, round_number=round_view.round.number, now=self.now, away=self._active)
        for device, t in woken:
            self._wake(device, t, "coming")
        if missing > 0 and not woken and not self._active:
            self._arrivals.start_over()
            self._queue.add(self.now + _LOOK_AGAIN_SECONDS, _NOBODY, "tick")

    def _wake(self, device: int, t: float, state: str) -> None:
        self._active[device] = state
        self._queue.add(t, device, "wake")

    def _hear_from(self, devices: Iterable[int]) -> dict[int, FromWorker]:
        """Listen until all of them have answered; what each said first."""
        expected, answers = set(devices), dict[int, FromWorker]()
        while expected & self._unanswered:
            for message in self._listen():
                answers.setdefault(getattr(message, "device", _NOBODY), message)
        return answers

    def _listen(self) -> list[FromWorker]:
        messages = self.workers.receive()
        for message in messages:
            self._hear(message)
        return messages

    def _hear(self, message: FromWorker) -> None:
        if isinstance(message, Broken):
            raise EmulationFailed(message.problem, remedy=message.remedy)
        if isinstance(message, Enrolled):
            raise AssertionError("enrollment is over")
        device = message.device
        self._unanswered.discard(device)
        if isinstance(message, Busy):
            self._queue.busy[device] = message.until
            self._active[device] = "working"
            self._queue.add(message.until, device, "busy")
            return
        self._queue.busy.pop(device, None)
        if isinstance(message, PendingRequest):
            if message.kind not in ("check-in", "enrol", "leave"):
                self._active[device] = "working"
            self._waiting_bytes[device] = message.size_bytes
            self._queue.add(message.t, device, "gate", message.kind)
        else:
            self._queue.add(message.t, device, "done", message)

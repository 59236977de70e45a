"""The fleet: wakes devices, and lets their requests reach the coordinator in the order of virtual time.

A discrete-event simulation. What is to happen stands in an `Agenda`, by virtual time. A device that computes has
promised not to be heard before some time, so all that comes earlier may go on meanwhile, in any number of processes;
what comes later waits. The coordinator's answers therefore depend on the scenario alone, not on the machine.

Requests go out together only where the coordinator's answer can't depend on their order: check-ins while there is room
for all of them, updates while the round wants all of them.

    Fleet(scenario, task, task_id, admin, workers, traits, observer).run()
"""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from fedrela.coordinator.admin_client import AdminClient
from fedrela.core.errors import FedRelaError
from fedrela.core.task import Task
from fedrela.emulator.fleet.arrivals import Arrivals
from fedrela.emulator.fleet.event_queue import Agenda
from fedrela.emulator.fleet.messages import Broken, Busy, Done, Enrolled, FromWorker, Grant, PendingRequest, Wake
from fedrela.emulator.fleet.profiles import Traits
from fedrela.emulator.fleet.round_view import CoordinatorClock, Standing
from fedrela.emulator.scenario import Scenario
from fedrela.emulator.workers.workers import Workers, enroll_all

_NOBODY = -1
_TOGETHER = 256  # devices woken at once, at most
_LOOK_AGAIN_SECONDS = 600.0  # virtual: when nobody was there who could be woken
_UNREACHABLE_SECONDS = 60.0
_HELD_BYTES = 64_000_000  # of finished updates that wait for others, about
_MANY_USES = 100_000  # of an enrollment token, where devices leave and come back as new ones
_TOKEN_SECONDS = 10 * 365 * 86400.0  # more virtual time than any run takes


class EmulationFailed(FedRelaError):
    """The coordinator or the scenario brought the run to an end before the task was finished."""


class Observer(Protocol):
    """Whoever records and shows what happens."""

    def started(self, devices: int) -> None:
        """So many devices have enrolled."""

    def done(self, done: Done) -> None:
        """A device's turn is over."""

    def committed(self, record: dict[str, Any], t: float) -> None:
        """The coordinator committed a round; `record` as its admin API gives it."""


@dataclass
class Fleet:
    """One run. The coordinator's time follows the scenario's if it is of that kind."""

    scenario: Scenario
    task: Task
    task_id: str
    admin: AdminClient
    workers: Workers
    traits: Traits
    observer: Observer
    now: float = 0.0
    turns: Counter[int] = field(default_factory=Counter)  # per device, so far
    _agenda: Agenda = field(default_factory=Agenda)
    _unanswered: set[int] = field(default_factory=set)
    _held: dict[int, int] = field(default_factory=dict)  # device at a gate -> bytes of its request
    _active: dict[int, str] = field(default_factory=dict)  # "coming" to check in, "working" or "returning"
    _ticks: set[float] = field(default_factory=set)

    def run(self) -> None:
        """Enroll everybody, then play the scenario until the task is finished. Raises EmulationFailed."""
        self._clock = CoordinatorClock(self.admin)
        self._arrivals = Arrivals(self.scenario, self.traits)
        self._enroll()
        self._standing = Standing(self.admin, self.task, self.task_id, lossy=self.scenario.faults.lossy)
        if self.scenario.wake.mode == "poll":
            for device, t in self._arrivals.first_visits():
                self._wake(device, t, "coming")
        self._wake_more()
        while self._standing.running:
            if not self._agenda:
                self._agenda.add(self.now + _LOOK_AGAIN_SECONDS, _NOBODY, "tick")
            self._advance()
            hours = self.scenario.max_hours
            if self.now > hours * 3600:
                raise EmulationFailed(
                    f"round {self._standing.round.number} is still open after {hours:g} virtual hours",
                    remedy="raise max_hours, lower round.goal, or let more devices be awake",
                )
        if self._standing.status != "finished":
            reason = self._standing.problem or "no reason given"
            raise EmulationFailed(
                f"the coordinator ended the task as {self._standing.status}: {reason}",
                remedy="look at `fedrela task show`; a longer deadline or a lower minimum may help",
            )
        for (
            _,
            _,
            _,
            kind,
            payload,
        ) in self._agenda.rest():  # turns that the last round counted, cut off before their end
            if kind == "done" and payload.kind == "uploaded":
                self.observer.done(payload)

    def _enroll(self) -> None:
        uses = _MANY_USES if self.scenario.faults.leave else self.scenario.devices
        token = self.admin.enrolment_token(self.task.population, uses, valid_seconds=_TOKEN_SECONDS)
        enroll_all(self.workers, self.scenario.devices, token)
        self.observer.started(self.scenario.devices)

    def _advance(self) -> None:
        """Take the earliest event, and what may go with it."""
        t, device, _, kind, payload = self._agenda.first()
        if kind == "busy":
            self._agenda.pop()
            while device in self._agenda.busy:
                self._listen()
            return
        if kind == "wake":
            self._start_assignments(self._agenda.wakes(self._clock.together, _TOGETHER))
            return
        self.now = t
        if kind == "gate":
            self._grant(payload)
            return
        self._agenda.pop()
        if kind == "done":
            self._end_assignment(payload)
            return
        if kind == "tick":
            self._clock.move_past(t)
            if not self._clock.virtual:
                time.sleep(1.0)
        self._settle()

    def _start_assignments(self, woken: list[tuple[float, int]]) -> None:
        for t, device in woken:
            self._unanswered.add(device)
            self.workers.send(device, Wake(device, self.turns[device], t))
            self.turns[device] += 1
        self._hear_from(device for _, device in woken)

    def _grant(self, kind: str) -> None:
        """Let requests through, and look afterwards what has become of the round."""
        if self._standing.room(kind) > 1:
            self._gather(self.now)
        granted = self._agenda.gates(self._clock.same_step, self._standing.room)
        self._clock.move(granted[0][0])
        for _, device, _ in granted:
            self._held.pop(device, None)
            self._unanswered.add(device)
            self.workers.send(device, Grant(device))
        answers = self._hear_from(device for _, device, _ in granted)
        now = self._clock.now
        surprising = [self._standing.count(kind, answers.get(device), now) for _, device, kind in granted]
        if any(surprising):
            self._agenda.add(granted[-1][0], _NOBODY, "settle")

    def _gather(self, t: float) -> None:
        """Let devices compute that may send while the coordinator's clock shows the same time: they go together."""
        while sum(self._held.values()) < _HELD_BYTES and any(
            self._clock.together(until, t) for until in self._agenda.busy.values()
        ):
            self._listen()

    def _end_assignment(self, done: Done) -> None:
        self._active.pop(done.device, None)
        self.observer.done(done)
        lease = self.task.round.compute_lease_seconds + self.task.round.upload_lease_seconds
        if done.kind in ("drop-out", "crash"):
            self._agenda.add(done.t + lease, _NOBODY, "tick")
        if done.kind == "crash":
            self._wake(done.device, done.t + self.scenario.faults.crash_seconds, "returning")
        elif done.kind == "unreachable":
            self._wake(done.device, done.t + _UNREACHABLE_SECONDS, "returning")
        elif self.scenario.wake.mode == "poll":
            self._wake(done.device, self._arrivals.next_visit(done, self.turns[done.device], lease), "coming")
        else:
            self._wake_more()

    def _settle(self) -> None:
        """See where the task stands; record the rounds that were committed."""
        self._standing.look()
        for record in self._standing.new_commits():
            self.observer.committed(record, self.now)
        deadline_at = self._standing.round.deadline_at
        if self._clock.virtual and deadline_at is not None and deadline_at not in self._ticks:
            self._ticks.add(deadline_at)
            self._agenda.add(deadline_at - self._clock.base, _NOBODY, "tick")
        self._wake_more()

    def _wake_more(self) -> None:
        """On demand: as many devices as the round has room for and are not on their way already."""
        standing = self._standing
        if self.scenario.wake.mode != "on-demand" or not standing.running:
            return
        coming = sum(state == "coming" for state in self._active.values())
        wanted = standing.free() - coming
        woken = self._arrivals.wave(wanted, round_number=standing.round.number, now=self.now, away=self._active)
        for device, t in woken:
            self._wake(device, t, "coming")
        if wanted > 0 and not woken and not self._active:
            self._arrivals.start_over()
            self._agenda.add(self.now + _LOOK_AGAIN_SECONDS, _NOBODY, "tick")

    def _wake(self, device: int, t: float, state: str) -> None:
        self._active[device] = state
        self._agenda.add(t, device, "wake")

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
            self._agenda.busy[device] = message.until
            self._active[device] = "working"
            self._agenda.add(message.until, device, "busy")
            return
        self._agenda.busy.pop(device, None)
        if isinstance(message, PendingRequest):
            if message.kind not in ("check-in", "enrol", "leave"):
                self._active[device] = "working"
            self._held[device] = message.size_bytes
            self._agenda.add(message.t, device, "gate", message.kind)
        else:
            self._agenda.add(message.t, device, "done", message)

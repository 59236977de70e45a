"""The fleet: wakes devices, and lets their requests reach the coordinator in the order of virtual time.

A discrete-event simulation. What is to happen stands in a heap by (virtual time, device). A device that computes has
promised not to be heard before some time, so all that comes earlier may go on meanwhile, in any number of processes;
what comes later waits. The coordinator's answers therefore depend on the scenario alone, not on the machine.

Requests go out together only where the coordinator's answer can't depend on their order: check-ins while there is room
for all of them, updates while the round wants all of them. May import `core` and the other modules of this package.

    Fleet(scenario, task, task_id, operator, workers, observer).run()
"""

import heapq
import math
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.errors import FedRelaError, Unavailable
from core.streams import derive, permutation, uniforms
from core.task import Task
from edge.emulator.admin import Operator, Status
from edge.emulator.messages import Broken, Busy, Done, Enrolled, FromWorker, Gate, Grant, Wake
from edge.emulator.scenario import Scenario
from edge.emulator.traits import Traits
from edge.emulator.workers import Workers

_SECRET = b"fedrela emulator"
_NOBODY = -1
_CLOCK_STEP_SECONDS = 1.0  # the coordinator's virtual clock shows whole multiples of this
_TOGETHER = 256  # events handled at once, at most
_LOOK_AGAIN_SECONDS = 600.0  # virtual: when nobody was there who could be woken
_POLL_SECONDS = 0.005  # real: while the coordinator aggregates
_UNREACHABLE_SECONDS = 60.0


class EmulationFailed(FedRelaError):
    """The coordinator or the scenario brought the run to an end before the task was finished."""


class Observer(Protocol):
    """Whoever records and shows what happens."""

    def started(self, devices: int) -> None:
        """So many devices have enrolled."""
        ...

    def done(self, done: Done) -> None:
        """A device's turn is over."""
        ...

    def committed(self, record: dict[str, Any], t: float) -> None:
        """The coordinator committed a round; `record` as its admin API gives it."""
        ...


@dataclass
class Fleet:
    """One run. `virtual_clock`: the coordinator's time follows the scenario's."""

    scenario: Scenario
    task: Task
    task_id: str
    operator: Operator
    workers: Workers
    traits: Traits
    observer: Observer
    now: float = 0.0
    turns: Counter[int] = field(default_factory=Counter)  # per device, so far
    _heap: list[tuple[float, int, int, str, Any]] = field(default_factory=list)
    _serial: int = 0
    _waves: int = 0  # of devices that were woken
    _unanswered: set[int] = field(default_factory=set)
    _busy: set[int] = field(default_factory=set)
    _active: dict[int, str] = field(default_factory=dict)  # "coming" to check in, "working" or "returning"
    _candidates: list[int] = field(default_factory=list)  # of this round, to be woken, last first
    _candidates_round: int = 0
    _committed: int = 0
    _ticks: set[float] = field(default_factory=set)
    _clock_base: float = 0.0
    _clock: float = 0.0
    _virtual: bool = False

    def run(self) -> None:
        """Enrol everybody, then play the scenario until the task is finished. Raises EmulationFailed."""
        self._start_clock()
        self._enrol()
        self._status = self._ask()
        if self.scenario.wake.mode == "poll":
            self._first_visits()
        self._wake_more()
        while self._status.status == "running":
            if not self._heap:
                self._at(self.now + _LOOK_AGAIN_SECONDS, _NOBODY, "tick")
            self._advance()
            if self.now > self.scenario.max_hours * 3600:
                raise EmulationFailed(
                    f"round {self._status.round} is still open after {self.scenario.max_hours:g} virtual hours",
                    remedy="raise max_hours, lower round.goal, or let more devices be awake",
                )
        if self._status.status != "finished":
            raise EmulationFailed(
                f"the coordinator ended the task as {self._status.status}: {self._status.problem or 'no reason given'}",
                remedy="look at `fedrela task show`; a longer deadline or a lower minimum may help",
            )
        self._log_rest()

    # What happens next

    def _advance(self) -> None:
        """Take the earliest event, and what may go with it."""
        t, device, _, kind, payload = self._heap[0]
        if kind == "busy":
            heapq.heappop(self._heap)
            while device in self._busy:
                self._listen()
            return
        if kind == "wake":
            self._start_turns(self._take("wake", None, _TOGETHER))
            return
        self.now = t
        if kind == "gate":
            self._grant(payload)
            return
        heapq.heappop(self._heap)
        if kind == "done":
            self._end_turn(payload)
        elif kind == "tick":
            self._move_clock(t + _CLOCK_STEP_SECONDS)
            if not self._virtual:
                time.sleep(1.0)
            self._settle()
        else:
            self._settle()

    def _take(self, kind: str, payload: Any, most: int) -> list[tuple[float, int, Any]]:
        """The earliest events, as long as they are of this kind and show the coordinator the same time."""
        taken: list[tuple[float, int, Any]] = []
        step = self._clock_step(self._heap[0][0])
        while self._heap and len(taken) < most:
            t, device, _, next_kind, next_payload = self._heap[0]
            if next_kind != kind or (payload is not None and next_payload != payload):
                break
            if kind == "gate" and self._virtual and self._clock_step(t) != step:
                break
            heapq.heappop(self._heap)
            taken.append((t, device, next_payload))
        return taken

    def _start_turns(self, woken: list[tuple[float, int, Any]]) -> None:
        for t, device, _ in woken:
            self._unanswered.add(device)
            self.workers.send(device, Wake(device, self.turns[device], t))
            self.turns[device] += 1
        self._hear_from(device for _, device, _ in woken)

    def _grant(self, kind: str) -> None:
        """Let requests through, and look afterwards what has become of the round."""
        granted = self._take("gate", kind, self._room(kind))
        self._move_clock(granted[0][0])
        for _, device, _ in granted:
            self._unanswered.add(device)
            self.workers.send(device, Grant(device))
        self._hear_from(device for _, device, _ in granted)
        self._at(granted[-1][0], _NOBODY, "settle")

    def _room(self, kind: str) -> int:
        """How many requests of this kind may go together without their order mattering."""
        settings, status = self.task.round, self._status
        if self.scenario.faults.lossy or settings.mode == "asynchronous" or self.task.eligibility.device_fraction < 1:
            return 1
        if kind == "update":
            return min(max(settings.goal - status.reported, 1), _TOGETHER)
        if kind == "check-in":
            return min(self._free() or _TOGETHER, _TOGETHER)
        return 1

    def _end_turn(self, done: Done) -> None:
        self._active.pop(done.device, None)
        self.observer.done(done)
        lease = self.task.round.compute_lease_seconds + self.task.round.upload_lease_seconds
        if done.kind in ("drop-out", "crash"):
            self._at(done.t + lease, _NOBODY, "tick")
        if done.kind == "crash":
            self._wake(done.device, done.t + self.scenario.faults.crash_seconds, "returning")
        elif done.kind == "unreachable":
            self._wake(done.device, done.t + _UNREACHABLE_SECONDS, "returning")
        elif self.scenario.wake.mode == "poll":
            self._next_visit(done, lease)
        else:
            self._wake_more()

    def _settle(self) -> None:
        """See where the task stands; record the rounds that were committed."""
        self._status = self._ask()
        if self._status.round - 1 > self._committed or self._status.status == "finished":
            self._record_commits()
        if self._virtual and self._status.deadline_at is not None and self._status.deadline_at not in self._ticks:
            self._ticks.add(self._status.deadline_at)
            self._at(self._status.deadline_at - self._clock_base, _NOBODY, "tick")
        self._wake_more()

    def _record_commits(self) -> None:
        for record in self.operator.rounds(self.task_id):
            if record["phase"] == "committed" and record["round"] > self._committed:
                self._committed = record["round"]
                self.observer.committed(record, self.now)

    def _ask(self) -> Status:
        """Where the task stands, once nothing is being aggregated any more."""
        while True:
            task = self.operator.task(self.task_id)
            status = Status(
                status=task["status"],
                round=task["round"],
                phase=task.get("phase", ""),
                open=task.get("open", 0),
                reported=task.get("reported", 0),
                problem=task["problem"],
                deadline_at=task.get("deadline_at"),
            )
            if status.status != "running" or status.phase != "aggregating" or self.task.round.mode == "asynchronous":
                return status
            time.sleep(_POLL_SECONDS)

    # Who comes when

    def _wake_more(self) -> None:
        """On demand: as many devices as the round has room for and are not on their way already."""
        if self.scenario.wake.mode != "on-demand" or self._status.status != "running":
            return
        coming = sum(state == "coming" for state in self._active.values())
        wanted = self._free() - coming if self._status.phase in ("collecting", "aggregating") else 0
        woken = [device for _ in range(wanted) if (device := self._candidate()) is not None]
        if woken:
            self._waves += 1
            stream = derive(_SECRET, self.scenario.seed, "arrival", self._waves)
            spread = uniforms(stream, (len(woken),)).tolist()
            for device, share in zip(woken, spread, strict=True):
                self._wake(device, self.now + share * self.scenario.wake.spread_seconds, "coming")
        elif wanted > 0 and not self._active:
            self._candidates_round = 0  # everybody has been asked: ask again later
            self._at(self.now + _LOOK_AGAIN_SECONDS, _NOBODY, "tick")

    def _candidate(self) -> int | None:
        """The next device in this round's random order that is idle and awake."""
        if self._candidates_round != self._status.round:
            stream = derive(_SECRET, self.scenario.seed, "cohort", self._status.round)
            self._candidates = permutation(stream, self.scenario.devices).tolist()
            self._candidates_round = self._status.round
        for place in range(len(self._candidates) - 1, -1, -1):
            device = self._candidates[place]
            if device not in self._active:
                del self._candidates[place]
                if self.traits.of(device).awake(self._hour(self.now)):
                    return device
        return None

    def _first_visits(self) -> None:
        for device in range(self.scenario.devices):
            (share,) = uniforms(derive(_SECRET, self.scenario.seed, "first visit", device), (1,)).tolist()
            self._wake(device, self._when_awake(device, share * self.scenario.wake.spread_seconds), "coming")

    def _next_visit(self, done: Done, lease: float) -> None:
        """Poll: when the coordinator or the device's own habit says, and it is awake."""
        stream = derive(_SECRET, self.scenario.seed, "visit", done.device, self.turns[done.device])
        (share,) = uniforms(stream, (1,)).tolist()
        pause = self.scenario.wake.poll_seconds * (0.75 + 0.5 * share)
        if done.kind == "drop-out":
            pause = max(pause, lease)
        self._wake(done.device, self._when_awake(done.device, done.t + max(pause, done.retry_after_seconds)), "coming")

    def _when_awake(self, device: int, t: float) -> float:
        return t + 3600 * self.traits.of(device).hours_until_awake(self._hour(t))

    def _wake(self, device: int, t: float, state: str) -> None:
        self._active[device] = state
        self._at(t, device, "wake")

    def _hour(self, t: float) -> float:
        return self.scenario.start_hour_utc + t / 3600

    def _free(self) -> int:
        """Slots of the round that nobody has."""
        settings, status = self.task.round, self._status
        if settings.mode == "asynchronous":
            return max((settings.concurrency or 2 * settings.goal) - status.open, 0)
        return max(math.ceil(settings.goal * settings.over_selection) - status.open - status.reported, 0)

    # Hearing from the workers

    def _hear_from(self, devices: Any) -> None:
        expected = set(devices)
        while expected & self._unanswered:
            self._listen()

    def _listen(self) -> None:
        for message in self.workers.receive():
            self._hear(message)

    def _hear(self, message: FromWorker) -> None:
        if isinstance(message, Broken):
            raise EmulationFailed(message.problem, remedy=message.remedy)
        if isinstance(message, Enrolled):
            raise AssertionError("enrolment is over")
        device = message.device
        self._unanswered.discard(device)
        if isinstance(message, Busy):
            self._busy.add(device)
            self._active[device] = "working"
            self._at(message.until, device, "busy")
            return
        self._busy.discard(device)
        if isinstance(message, Gate):
            if message.kind != "check-in":
                self._active[device] = "working"
            self._at(message.t, device, "gate", message.kind)
        else:
            self._at(message.t, device, "done", message)

    def _at(self, t: float, device: int, kind: str, payload: Any = None) -> None:
        self._serial += 1
        heapq.heappush(self._heap, (t, device, self._serial, kind, payload))

    # Beginning and end

    def _start_clock(self) -> None:
        now = self.operator.set_clock(0.0)
        self._virtual = now is not None
        self._clock_base = math.ceil(now or 0.0)
        self._clock = self._clock_base

    def _clock_step(self, t: float) -> float:
        return math.floor(t / _CLOCK_STEP_SECONDS) * _CLOCK_STEP_SECONDS

    def _move_clock(self, t: float) -> None:
        wanted = self._clock_base + self._clock_step(t)
        if self._virtual and wanted > self._clock:
            self._clock = wanted
            self.operator.set_clock(wanted)

    def _enrol(self) -> None:
        token = self.operator.enrolment_token(self.task.population, self.scenario.devices)
        self.workers.enrol(range(self.scenario.devices), token)
        enrolled = 0
        while enrolled < self.scenario.devices:
            for message in self.workers.receive():
                if isinstance(message, Broken):
                    raise Unavailable(message.problem, remedy=message.remedy)
                assert isinstance(message, Enrolled)
                enrolled += message.count
        self.observer.started(enrolled)

    def _log_rest(self) -> None:
        """The turns that the last round counted, but whose end had not been reached."""
        for _, _, _, kind, payload in sorted(self._heap, key=lambda entry: entry[:3]):
            if kind == "done" and payload.kind == "uploaded":
                self.observer.done(payload)

"""What the fleet knows of the coordinator: its clock, where the task stands, and what may be sent together.

The coordinator is asked only where it may know something that the fleet doesn't: an accepted check-in or update is
counted here by the coordinator's own rules of a round, and changes nothing else until the round is full.

    clock = CoordinatorClock(admin)
    round_view = RoundView(admin, task, task_id, lossy=False)
    if round_view.count("update", answer, clock.now): round_view.look()
"""

import math
import time
from dataclasses import dataclass
from typing import Any

from fedrela.coordinator.admin_client import AdminClient
from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.core.task import Task
from fedrela.emulator.fleet.messages import Busy, Done, FromWorker

_STEP_SECONDS = 1.0  # the coordinator's virtual clock shows whole multiples of this
_TOGETHER = 256  # requests at once, at most
_POLL_SECONDS = 0.005  # real: while the coordinator aggregates


class CoordinatorClock:
    """The coordinator's time, if it follows the scenario's; `virtual` says whether."""

    def __init__(self, admin: AdminClient) -> None:
        now = admin.set_clock(0.0)
        self._admin = admin
        self.virtual = now is not None
        self.base = float(math.ceil(now or 0.0))  # the coordinator's time at the scenario's 0
        self.now = self.base  # what it shows, if it is virtual

    def same_step(self, t: float, other: float) -> bool:
        """Does the coordinator see the same time at both?"""
        return not self.virtual or _step(t) == _step(other)

    def together(self, t: float, other: float) -> bool:
        """The same, where the scenario alone says so: on a real clock it never does."""
        return self.virtual and _step(t) == _step(other)

    def move(self, t: float) -> None:
        """Show the coordinator the scenario's time `t`; never backwards."""
        then = self.base + _step(t)
        if self.virtual and then > self.now:
            self.now = then
            self._admin.set_clock(then)

    def move_past(self, t: float) -> None:
        """Show a time after `t`, so that what ends at `t` has ended."""
        self.move(t + _STEP_SECONDS)


@dataclass
class RoundView:
    """Where the task stands. `lossy`: do single requests get lost, doubled or delayed?"""

    admin: AdminClient
    task: Task
    task_id: str
    lossy: bool
    committed: int = 0

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """Ask the coordinator, until nothing is being aggregated any more."""
        while True:
            record = self.admin.task(self.task_id)
            self.status: str = record["status"]  # "running", "paused", "finished" or "cancelled"
            self.problem: str = record["problem"]
            self.round = Round(
                number=record["round"],
                phase=record.get("phase", "committed"),  # a task that is over has no open round
                opened_at=0.0,  # no rule asks for it
                open=record.get("open", 0),
                reported=record.get("reported", 0),
                deadline_at=record.get("deadline_at"),
            )
            if not self.running or self.round.phase != "aggregating" or self.asynchronous:
                return
            time.sleep(_POLL_SECONDS)

    def count(self, kind: str, answer: FromWorker | None, now: float) -> bool:
        """Take note of what became of a request of this kind; True if only the coordinator knows what follows.

        `now`: the coordinator's time.
        """
        round_, settings = self.round, self.task.round
        begun = round_.deadline_at is not None
        if self.is_secure and kind != "check-in":
            return isinstance(answer, Done)  # a group that was summed or has failed: its members hear of it then
        if self.asynchronous or self.is_secure or self.lossy or round_.phase != "collecting":
            return True
        if kind == "check-in" and isinstance(answer, Busy) and rules.has_room(round_, settings):
            self.round = rules.join(round_, settings, now)
            return not begun  # the round begins with its first device
        if kind == "update" and isinstance(answer, Done) and answer.kind == "uploaded" and begun and round_.open:
            self.round = rules.report(round_, settings)
            return self.round.phase != "collecting"
        return kind != "evaluation" or not begun

    def new_commits(self) -> list[dict[str, Any]]:
        """The rounds that were committed since this was asked last, as the admin API gives them."""
        if self.round.number - 1 <= self.committed and self.status != "finished":
            return []
        records = [
            record
            for record in self.admin.rounds(self.task_id)
            if record["phase"] == "committed" and record["round"] > self.committed
        ]
        self.committed = max([self.committed, *(record["round"] for record in records)])
        return records

    @property
    def running(self) -> bool:
        """Is the task neither paused nor over?"""
        return self.status == "running"

    @property
    def asynchronous(self) -> bool:
        """Does the task have no rounds that wait for each other?"""
        return self.task.round.mode == "asynchronous"

    @property
    def is_secure(self) -> bool:
        """Do the devices hide their updates in groups? Then a group's sum counts, and not an update."""
        return self.task.privacy.secure == "peers"

    def free(self) -> int:
        """Slots of the round that nobody has."""
        return rules.free_slots(self.round, self.task.round)

    def room(self, kind: str) -> int:
        """How many requests of this kind may go together without their order mattering."""
        if self.lossy or self.asynchronous or self.task.eligibility.device_fraction < 1:
            return 1
        if self.is_secure and kind == "secure":
            return _TOGETHER  # questions change nothing
        if self.is_secure and kind != "check-in":
            return 1  # who comes first is in a group with whom: in the order of virtual time
        if kind == "update":
            # The one that completes the round goes alone: what comes after it finds another round.
            return min(max(self.task.round.goal - self.round.reported - 1, 1), _TOGETHER)
        if kind == "check-in":
            return min(self.free() or _TOGETHER, _TOGETHER)
        return 1


def _step(t: float) -> float:
    return math.floor(t / _STEP_SECONDS) * _STEP_SECONDS

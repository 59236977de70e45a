"""What the fleet knows of the coordinator: its clock, where the task stands, and what may be sent together.

The coordinator is asked only where it may know something that the fleet doesn't: an accepted check-in or update is
counted here, and changes nothing else until the round is full. May import `core` and the other modules of this package.

    clock = CoordinatorClock(operator)
    standing = Standing(operator, task, task_id, lossy=False)
    if standing.count("update", answer): standing.look()
"""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

from fedrela.core.task import Task
from fedrela.emulator.connections.admin import Operator, Status
from fedrela.emulator.fleet.messages import Busy, Done, FromWorker

_STEP_SECONDS = 1.0  # the coordinator's virtual clock shows whole multiples of this
_TOGETHER = 256  # requests at once, at most
_POLL_SECONDS = 0.005  # real: while the coordinator aggregates


class CoordinatorClock:
    """The coordinator's time, if it follows the scenario's; `virtual` says whether."""

    def __init__(self, operator: Operator) -> None:
        now = operator.set_clock(0.0)
        self._operator = operator
        self.virtual = now is not None
        self.base = float(math.ceil(now or 0.0))  # the coordinator's time at the scenario's 0
        self._shown = self.base

    def same_step(self, t: float, other: float) -> bool:
        """Does the coordinator see the same time at both?"""
        return not self.virtual or _step(t) == _step(other)

    def together(self, t: float, other: float) -> bool:
        """The same, where the scenario alone says so: on a real clock it never does."""
        return self.virtual and _step(t) == _step(other)

    def move(self, t: float) -> None:
        """Show the coordinator the scenario's time `t`; never backwards."""
        wanted = self.base + _step(t)
        if self.virtual and wanted > self._shown:
            self._shown = wanted
            self._operator.set_clock(wanted)

    def move_past(self, t: float) -> None:
        """Show a time after `t`, so that what ends at `t` has ended."""
        self.move(t + _STEP_SECONDS)


@dataclass
class Standing:
    """Where the task stands. `lossy`: do single requests get lost, doubled or delayed?"""

    operator: Operator
    task: Task
    task_id: str
    lossy: bool
    committed: int = 0

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> Status:
        """Ask the coordinator, until nothing is being aggregated any more."""
        while True:
            task = self.operator.task(self.task_id)
            self.status = Status(
                status=task["status"],
                round=task["round"],
                phase=task.get("phase", ""),
                open=task.get("open", 0),
                reported=task.get("reported", 0),
                problem=task["problem"],
                deadline_at=task.get("deadline_at"),
            )
            if self.status.status != "running" or self.status.phase != "aggregating" or self.asynchronous:
                return self.status
            time.sleep(_POLL_SECONDS)

    def count(self, kind: str, answer: FromWorker | None) -> bool:
        """Take note of what became of a request of this kind; True if only the coordinator knows what follows."""
        status = self.status
        if self.asynchronous or self.lossy or status.phase != "collecting":
            return True
        if kind == "check-in" and isinstance(answer, Busy):
            self.status = replace(status, open=status.open + 1)
            return status.deadline_at is None  # the round begins with its first device
        if status.deadline_at is None:
            return True
        if kind == "update" and isinstance(answer, Done) and answer.kind == "uploaded":
            self.status = replace(status, open=max(status.open - 1, 0), reported=status.reported + 1)
            return self.status.reported >= self.task.round.goal
        return kind != "evaluation"

    def new_commits(self) -> list[dict[str, Any]]:
        """The rounds that were committed since this was asked last, as the admin API gives them."""
        if self.status.round - 1 <= self.committed and self.status.status != "finished":
            return []
        records = [
            record
            for record in self.operator.rounds(self.task_id)
            if record["phase"] == "committed" and record["round"] > self.committed
        ]
        self.committed = max([self.committed, *(record["round"] for record in records)])
        return records

    @property
    def asynchronous(self) -> bool:
        """Does the task have no rounds that wait for each other?"""
        return self.task.round.mode == "asynchronous"

    def free(self) -> int:
        """Slots of the round that nobody has."""
        settings, status = self.task.round, self.status
        if self.asynchronous:
            return max((settings.concurrency or 2 * settings.goal) - status.open, 0)
        return max(math.ceil(settings.goal * settings.over_selection) - status.open - status.reported, 0)

    def room(self, kind: str) -> int:
        """How many requests of this kind may go together without their order mattering."""
        if self.lossy or self.asynchronous or self.task.eligibility.device_fraction < 1:
            return 1
        if kind == "update":
            # The one that completes the round goes alone: what comes after it finds another round.
            return min(max(self.task.round.goal - self.status.reported - 1, 1), _TOGETHER)
        if kind == "check-in":
            return min(self.free() or _TOGETHER, _TOGETHER)
        return 1


def _step(t: float) -> float:
    return math.floor(t / _STEP_SECONDS) * _STEP_SECONDS

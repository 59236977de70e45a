"""The order of events where the coordinator keeps real time: members of a group wait in real time for the others.

Of a secure round's group, others may be no emulated devices: phones and boards, that come when they come. An emulated
device's own time would run ahead of theirs, and its patience end before they are there. So a question what to do next
is held until as much real time has passed since the device's message before as its own time says. Whoever is under way
goes on meanwhile; nobody new comes before a question that is held.

    queue = PacedQueue()                # in place of an `EventQueue`
"""

import heapq
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fedrela.emulator.fleet.event_queue import Entry, EventQueue, Same

QUESTION = "secure"  # what to do next in a group: see `network.kind_of`
_NEW = ("wake", "tick")


@dataclass
class PacedQueue(EventQueue):
    """`clock` and `sleep` are in real seconds."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Any] = time.sleep
    _sent: dict[int, tuple[float, float]] = field(default_factory=dict)  # a device's last message, in its and real time
    _held: list[tuple[float, int, float]] = field(default_factory=list)  # when it is due in real time, device, its time

    def __bool__(self) -> bool:
        return bool(self._held) or super().__bool__()

    def add(self, t: float, device: int, kind: str, payload: Any = None) -> None:
        """See `EventQueue.add`. A question is held."""
        if kind == "gate" and payload == QUESTION:
            own, real = self._sent.get(device, (t, self.clock()))
            heapq.heappush(self._held, (real + t - own, device, t))
        else:
            super().add(t, device, kind, payload)

    def first(self) -> Entry:
        """See `EventQueue.first`. Waits, in real time, where there is nothing to do but to wait."""
        self._let_go()
        while self._held and not self._goes_before_held():
            self.sleep(max(self._held[0][0] - self.clock(), 0.0))
            self._let_go()
        return super().first()

    def gates(self, same: Same, room: Callable[[str], int]) -> list[tuple[float, int, str]]:
        """See `EventQueue.gates`."""
        taken = super().gates(same, room)
        self._sent |= {device: (t, self.clock()) for t, device, _ in taken}
        return taken

    def _goes_before_held(self) -> bool:
        """Whether there is something to do that needs no waiting."""
        if not super().__bool__():
            return False
        t, _, _, kind, _ = super().first()
        return kind not in _NEW or t <= min(held for _, _, held in self._held)

    def _let_go(self) -> None:
        """Questions whose time has come are events like others."""
        now = self.clock()
        while self._held and self._held[0][0] <= now:
            _, device, t = heapq.heappop(self._held)
            super().add(t, device, "gate", QUESTION)

"""What is to happen, in the order of virtual time.

An entry is (virtual time, device, serial number, kind, payload): a device "wake"s, is "busy" until then, stands at a
"gate" with a request of the kind that is the payload, or is "done"; or the fleet is to "settle" or to "tick".

    >>> queue = EventQueue()
    >>> queue.add(2.5, 7, "gate", "update"); queue.add(2.0, 8, "gate", "check-in"); queue.add(3.1, 9, "wake")
    >>> queue.gates(lambda t, first: int(t) == int(first), lambda kind: 5)
    [(2.0, 8, 'check-in'), (2.5, 7, 'update')]
    >>> queue.first()[:2]
    (3.1, 9)
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Entry: TypeAlias = tuple[float, int, int, str, Any]
Same: TypeAlias = Callable[[float, float], bool]  # does the coordinator see the same time at both?


@dataclass
class EventQueue:
    """The heap of entries, and who computes: `busy` says until when nothing is heard of a device."""

    busy: dict[int, float] = field(default_factory=dict)
    _heap: list[Entry] = field(default_factory=list)
    _serial: int = 0

    def __bool__(self) -> bool:
        return bool(self._heap)

    def add(self, t: float, device: int, kind: str, payload: Any = None) -> None:
        """Note what is to happen."""
        self._serial += 1
        heapq.heappush(self._heap, (t, device, self._serial, kind, payload))

    def first(self) -> Entry:
        """The earliest entry; at one time the lower device, then what was noted first."""
        return self._heap[0]

    def pop(self) -> Entry:
        """Take the earliest entry."""
        return heapq.heappop(self._heap)

    def wakes(self, same: Same, most: int) -> list[tuple[float, int]]:
        """Take those who wake next, and while the coordinator sees the time of the first; at most so many: (t, device).

        Up to its first request a device has to do with nobody, so it may be woken ahead of time.
        """
        first, taken = self._heap[0][0], [heapq.heappop(self._heap)]
        while self._heap and self._heap[0][3] == "wake" and len(taken) < most:
            taken.append(heapq.heappop(self._heap))
        later = sorted(entry for entry in self._heap if entry[3] == "wake" and same(entry[0], first))
        taken += later[: most - len(taken)]
        serials = {entry[2] for entry in taken}
        self._heap = [entry for entry in self._heap if entry[2] not in serials]
        heapq.heapify(self._heap)
        return [entry[:2] for entry in taken]

    def gates(self, same: Same, room: Callable[[str], int]) -> list[tuple[float, int, str]]:
        """Take the earliest requests, as long as nothing comes between and their order can't matter.

        The first entry is one. `room` says how many of a kind may go together; where it is 1, one goes alone.
        """
        taken: list[tuple[float, int, str]] = []
        left: dict[str, int] = {}
        while self._heap:
            t, device, _, kind, payload = self._heap[0]
            if kind == "busy" and device not in self.busy:  # it has been heard of since
                heapq.heappop(self._heap)
                continue
            if kind != "gate" or (taken and not same(t, taken[0][0])):
                break
            most = left.setdefault(payload, room(payload))
            if taken and (most < 1 or room(payload) == 1):
                break
            heapq.heappop(self._heap)
            taken.append((t, device, payload))
            left[payload] -= 1
            if room(payload) == 1:
                break
        return taken

    def forget(self, kinds: set[str]) -> None:
        """Take out all entries of these kinds."""
        self._heap = [entry for entry in self._heap if entry[3] not in kinds]
        heapq.heapify(self._heap)

    def rest(self) -> list[Entry]:
        """All that is left, in order."""
        return sorted(self._heap, key=lambda entry: entry[:3])

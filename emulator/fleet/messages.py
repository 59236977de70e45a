"""What the fleet and its worker processes tell each other. Plain values, pickled over a pipe between our own processes.

    fleet -> worker:   Wake, Grant, Enroll, Stop
    worker -> fleet:   PendingRequest, Busy, Done, Enrolled, Broken

Every Wake and every Grant is answered by exactly one PendingRequest, Busy or Done of that device; a Busy is followed by
a PendingRequest or a Done by itself, when the device has computed.
"""

from dataclasses import dataclass

from fedrela.emulator.results.record import DeviceEvent


@dataclass(frozen=True)
class Wake:
    """A device wakes at virtual time `t`."""

    device: int
    number: int  # of the device's wake-ups, from 0
    t: float


@dataclass(frozen=True)
class Grant:
    """The request that a device waits to send may go."""

    device: int


@dataclass(frozen=True)
class Enroll:
    """Enroll these devices with a link."""

    devices: tuple[int, ...]
    link: str


@dataclass(frozen=True)
class Stop:
    """End the process."""


@dataclass(frozen=True)
class PendingRequest:
    """A device waits for its Grant, to send a request at virtual time `t`."""

    device: int
    t: float
    kind: str  # see `network.kind_of`
    size_bytes: int = 0  # of its body, which the worker holds meanwhile


@dataclass(frozen=True)
class Busy:
    """A device has an assignment and computes; nothing is heard of it before virtual time `until`."""

    device: int
    until: float


@dataclass(frozen=True)
class Done:
    """A device's wake-up is over at virtual time `t`. `events` are for the log."""

    device: int
    t: float
    kind: str  # of the outcome: "uploaded", "waiting", "dropped", "drop-out", "crash", "unreachable", "error"
    reason: str
    retry_after_seconds: float
    events: tuple[DeviceEvent, ...]


@dataclass(frozen=True)
class Enrolled:
    """All devices of an Enroll have joined."""

    count: int


@dataclass(frozen=True)
class Broken:
    """The worker can't go on. `problem` and `remedy` as in `fedrela.core.errors`."""

    problem: str
    remedy: str


ToWorker = Wake | Grant | Enroll | Stop
FromWorker = PendingRequest | Busy | Done | Enrolled | Broken

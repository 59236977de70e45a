"""Many devices in one process: each wake-up is a coroutine (a greenlet) that gives way where it must wait.

A wake-up gives way in five places: where a request waits for its place in virtual time, while it is under way, where
the device has been given work (so that others can check in before it computes), between training steps if the fleet has
sent something, and while the runtime computes in the background, if it does. So one process serves its devices in any
order, and the result is the same as in any other order.

    scheduler = DeviceScheduler(make_context, send)
    scheduler.handle(Wake(device=3, number=0, t=0.0))   # runs device 3 up to its first request
    while scheduler.advance(): pass                     # takes the answers that come, and trains whoever has work
"""

import gc
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeAlias

import httpx
from greenlet import greenlet

from fedrela.core.errors import FedRelaError
from fedrela.edge.engines.engine import RunNative, run_here
from fedrela.emulator.devices import wake_up
from fedrela.emulator.devices.shared_context import SharedContext
from fedrela.emulator.devices.wake_up import Hooks
from fedrela.emulator.fleet.messages import (
    Broken,
    Busy,
    Done,
    Enroll,
    Enrolled,
    FromWorker,
    Grant,
    PendingRequest,
    Stop,
    ToWorker,
    Wake,
)
from fedrela.emulator.workers.background import BackgroundThread

MakeContext: TypeAlias = Callable[[RunNative], SharedContext]  # told how its engines are to call their runtimes

# Wake-ups make many objects and hardly any circles of them, so the garbage collector looks seldom: 20 000 new ones
# later, not 700.
_GC_SELDOM = (20_000, 20, 20)


class FleetConnection(Protocol):
    """A worker's end of what connects it to the fleet: of a pipe's kind (`multiprocessing.connection.Connection`)."""

    def send(self, message: Any) -> None:
        """Tell the fleet."""
        ...

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Has the fleet sent something? Waits for `timeout` seconds, for ever if it is None."""
        ...

    def recv(self) -> Any:
        """What the fleet has sent; waits for it."""
        ...


class DeviceScheduler:
    """Owns the wake-ups of its devices. `send` tells the fleet; `interrupted`: has the fleet sent something?"""

    def __init__(
        self,
        make_context: MakeContext,
        send: Callable[[FromWorker], None],
        interrupted: Callable[[], bool] = lambda: False,
        background: BackgroundThread | None = None,
    ) -> None:
        self._send = send
        self._interrupted = interrupted
        self._background = background
        self._hub = greenlet.getcurrent()
        self._context = make_context(self._run_in_background if background else run_here)
        self._concurrent = self._context.concurrent_devices() if background else 1  # devices that may compute at once
        self._waiting: dict[int, greenlet] = {}  # at a gate
        self._under_way = 0  # requests
        self._answered: deque[tuple[greenlet, httpx.Response | BaseException | None]] = deque()
        self._with_work: deque[greenlet] = deque()

    def handle(self, message: ToWorker) -> None:
        """React to the fleet; returns when the device concerned waits, has work, or is done.

        A device waits for its place in virtual time, or for an answer.
        """
        if isinstance(message, Wake):
            greenlet(self._wake_up, self._hub).switch(message)
        elif isinstance(message, Grant):
            self._waiting.pop(message.device).switch()
        elif isinstance(message, Enroll):
            for device in message.devices:
                self._context.enroll(device, message.link)
            self._send(Enrolled(len(message.devices)))

    def advance(self) -> bool:
        """Take the answers that have come; if there is none, let a device compute; else wait. False: all is done."""
        may_compute = bool(self._with_work) and self._computing < self._concurrent
        if self._under_way:
            self._context.transport.collect(wait=not may_compute and not self._computing)
        if self._background:
            self._background.collect(wait=not may_compute and not self._answered)
        if self._answered:
            while self._answered:
                device, answer = self._answered.popleft()
                device.switch(answer)
        elif may_compute:
            self._with_work.popleft().switch()
        return self.busy

    @property
    def busy(self) -> bool:
        """Has a device something to compute, or a request under way?"""
        return bool(self._with_work or self._under_way or self._computing)

    @property
    def _computing(self) -> int:
        """Devices whose step runs in the background."""
        return self._background.under_way if self._background else 0

    def _run_in_background(self, run: Callable[[], None]) -> None:
        """Run what leaves Python in the background; the device gives way meanwhile."""
        device = greenlet.getcurrent()
        if self._background is None or device is self._hub:
            run()
            return
        self._background.begin(run, lambda error: self._answered.append((device, error)))
        error: BaseException | None = self._hub.switch()
        if error is not None:
            raise error

    def _wake_up(self, wake: Wake) -> None:
        current = greenlet.getcurrent()

        def gate(t: float, kind: str, size_bytes: int) -> None:
            self._waiting[wake.device] = current
            self._send(PendingRequest(wake.device, t, kind, size_bytes))
            self._hub.switch()

        def computing(until: float) -> None:
            self._send(Busy(wake.device, until))
            self._with_work.append(current)
            self._hub.switch()

        def between_steps() -> None:
            if self._interrupted():
                self._with_work.appendleft(current)
                self._hub.switch()

        def send(request: httpx.Request) -> httpx.Response:
            self._under_way += 1
            self._context.transport.begin(request, answered)
            answer: httpx.Response | BaseException = self._hub.switch()
            if isinstance(answer, BaseException):
                raise answer
            return answer

        def answered(answer: httpx.Response | BaseException) -> None:
            self._under_way -= 1
            self._answered.append((current, answer))

        done: Done = wake_up.take(self._context, wake, Hooks(gate, send, computing, between_steps))
        self._send(done)


@contextmanager
def garbage_set_aside() -> Iterator[None]:
    """Keep Python's garbage collector from what a run never throws away: libraries, programs, data, devices.

    What there is now is not looked at again while the context is open; what comes is, but seldom.
    """
    usual = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def serve(connection: FleetConnection, make_context: MakeContext) -> None:
    """The life of a worker: do what the fleet says; while it says nothing, take answers and compute."""
    try:
        scheduler = DeviceScheduler(make_context, connection.send, connection.poll)
        with garbage_set_aside():
            _work(scheduler, connection)
    except FedRelaError as error:
        connection.send(Broken(error.problem, error.remedy))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # the fleet has gone
    except Exception as error:
        connection.send(Broken(f"a worker process failed: {type(error).__name__}: {error}", "report this as a defect"))
        raise


def _work(scheduler: DeviceScheduler, connection: FleetConnection) -> None:
    while True:
        if connection.poll(0 if scheduler.busy else None):
            message = connection.recv()
            if isinstance(message, Stop):
                return
            scheduler.handle(message)
        else:
            scheduler.advance()

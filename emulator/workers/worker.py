"""Many devices in one process: each turn is a coroutine (a greenlet) that gives way where it must wait.

A turn gives way in five places: where a request waits for its place in virtual time, while it is under way, where the
device has been given work (so that others can check in before it computes), between training steps if the fleet has
said something, and while the runtime computes beside, if it does. So one process serves its devices in any order, and
the result is the same as in any other order.

    turns = TurnScheduler(make_world, send)
    turns.handle(Wake(device=3, turn=0, t=0.0))     # runs device 3 up to its first request
    while turns.advance(): pass                     # takes the answers that come, and trains whoever has work
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
from fedrela.emulator.devices.wake_up import Hooks
from fedrela.emulator.devices.world import World
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
from fedrela.emulator.workers.background import Beside

MakeWorld: TypeAlias = Callable[[RunNative], World]  # told how its engines are to call their runtimes

# Turns make many objects and hardly any circles of them, so the garbage collector looks seldom: 20 000 new ones later,
# not 700.
_GC_SELDOM = (20_000, 20, 20)


class Line(Protocol):
    """A worker's end of what connects it to the fleet: of a pipe's kind (`multiprocessing.connection.Connection`)."""

    def send(self, message: Any) -> None:
        """Tell the fleet."""
        ...

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Has the fleet said something? Waits for `timeout` seconds, for ever if it is None."""
        ...

    def recv(self) -> Any:
        """What the fleet has said; waits for it."""
        ...


class TurnScheduler:
    """Owns the turns of its devices. `send` tells the fleet; `interrupted`: has the fleet said something?"""

    def __init__(
        self,
        make_world: MakeWorld,
        send: Callable[[FromWorker], None],
        interrupted: Callable[[], bool] = lambda: False,
        beside: Beside | None = None,
    ) -> None:
        self._send = send
        self._interrupted = interrupted
        self._beside = beside
        self._hub = greenlet.getcurrent()
        self._world = make_world(self._run_beside if beside else run_here)
        self._abreast = self._world.abreast() if beside else 1  # devices that may compute at once
        self._waiting: dict[int, greenlet] = {}  # at a gate
        self._under_way = 0  # requests
        self._answered: deque[tuple[greenlet, httpx.Response | BaseException | None]] = deque()
        self._with_work: deque[greenlet] = deque()

    def handle(self, message: ToWorker) -> None:
        """React to the fleet; returns when the device concerned waits, has work, or has ended its turn.

        A device waits for its place in virtual time, or for an answer.
        """
        if isinstance(message, Wake):
            greenlet(self._assignment, self._hub).switch(message)
        elif isinstance(message, Grant):
            self._waiting.pop(message.device).switch()
        elif isinstance(message, Enroll):
            for device in message.devices:
                self._world.enroll(device, message.token)
            self._send(Enrolled(len(message.devices)))

    def advance(self) -> bool:
        """Take the answers that have come; if there is none, let a device compute; else wait. False: all is done."""
        may_compute = bool(self._with_work) and self._computing < self._abreast
        if self._under_way:
            self._world.route.collect(wait=not may_compute and not self._computing)
        if self._beside:
            self._beside.collect(wait=not may_compute and not self._answered)
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
        """Devices whose step runs beside."""
        return self._beside.under_way if self._beside else 0

    def _run_beside(self, run: Callable[[], None]) -> None:
        """Run what leaves Python beside this thread; the device gives way meanwhile."""
        device = greenlet.getcurrent()
        if self._beside is None or device is self._hub:
            run()
            return
        self._beside.begin(run, lambda error: self._answered.append((device, error)))
        error: BaseException | None = self._hub.switch()
        if error is not None:
            raise error

    def _assignment(self, wake: Wake) -> None:
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
            self._world.route.begin(request, answered)
            answer: httpx.Response | BaseException = self._hub.switch()
            if isinstance(answer, BaseException):
                raise answer
            return answer

        def answered(answer: httpx.Response | BaseException) -> None:
            self._under_way -= 1
            self._answered.append((current, answer))

        done: Done = wake_up.take(self._world, wake, Hooks(gate, send, computing, between_steps))
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


def serve(connection: Line, make_world: MakeWorld) -> None:
    """The life of a worker: do what the fleet says; while it says nothing, take answers and compute."""
    try:
        turns = TurnScheduler(make_world, connection.send, connection.poll)
        with garbage_set_aside():
            _work(turns, connection)
    except FedRelaError as error:
        connection.send(Broken(error.problem, error.remedy))
    except (EOFError, BrokenPipeError, KeyboardInterrupt):
        return  # the fleet has gone
    except Exception as error:
        connection.send(Broken(f"a worker process failed: {type(error).__name__}: {error}", "report this as a defect"))
        raise


def _work(turns: TurnScheduler, connection: Line) -> None:
    while True:
        if connection.poll(0 if turns.busy else None):
            message = connection.recv()
            if isinstance(message, Stop):
                return
            turns.handle(message)
        else:
            turns.advance()

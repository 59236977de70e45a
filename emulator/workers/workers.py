"""Where devices live: in worker processes, or in this one. Two implementations of one small seam.

with Processes(2, make_context) as workers:
    workers.send(3, Wake(3, 0, 0.0))
    replies = workers.receive()
"""

import multiprocessing
from collections import deque
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from fedrela.core import interpreter
from fedrela.core.errors import Unavailable
from fedrela.edge.engines.engine import RunNative
from fedrela.emulator.devices.shared_context import SharedContext
from fedrela.emulator.fleet.messages import Broken, Enroll, Enrolled, FromWorker, Stop, ToWorker
from fedrela.emulator.workers.background import BackgroundThread
from fedrela.emulator.workers.worker import DeviceScheduler, MakeContext, serve

_STOP_SECONDS = 5.0


class Workers(Protocol):
    """Every device belongs to one worker for good: device i to worker i mod count."""

    count: int

    def send(self, device: int, message: ToWorker) -> None:
        """Tell the worker of `device`."""
        ...

    def enroll(self, devices: range, link: str) -> None:
        """Let the devices join the coordinator, each in its own worker."""
        ...

    def receive(self) -> list[FromWorker]:
        """What workers have sent since; waits until there is something."""
        ...


def enroll_all(workers: Workers, devices: int, link: str) -> None:
    """Let devices 0, 1, ... join the coordinator, and wait until all have. Raises Unavailable where one can't."""
    workers.enroll(range(devices), link)
    enrolled = 0
    while enrolled < devices:
        for message in workers.receive():
            if isinstance(message, Broken):
                raise Unavailable(message.problem, remedy=message.remedy)
            assert isinstance(message, Enrolled)
            enrolled += message.count


class Inline:
    """All devices in this process and thread; they compute when the fleet waits. `background`: steps in another."""

    count = 1

    def __init__(self, make_context: MakeContext, *, background: bool = False) -> None:
        self._sent: deque[FromWorker] = deque()
        self._background = BackgroundThread() if background else None
        self._scheduler = DeviceScheduler(make_context, self._sent.append, background=self._background)

    def __enter__(self) -> "Inline":
        if self._background:
            self._background.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._background:
            self._background.__exit__()

    def send(self, device: int, message: ToWorker) -> None:
        """See `Workers.send`."""
        self._scheduler.handle(message)

    def enroll(self, devices: range, link: str) -> None:
        """See `Workers.enroll`."""
        self._scheduler.handle(Enroll(tuple(devices), link))

    def receive(self) -> list[FromWorker]:
        """See `Workers.receive`."""
        while not self._sent and self._scheduler.busy:
            self._scheduler.advance()
        sent = list(self._sent)
        self._sent.clear()
        return sent


class Processes:
    """`count` worker processes, ended when the context is left."""

    def __init__(self, count: int, make_context: MakeContext) -> None:
        self.count = count
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            with interpreter.safe_children():
                process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        # Not an argument of the process: whoever starts one that dies at once would wait for ever for it to read that.
        try:
            for number in range(count):
                self._tell(number, make_context)
        except Unavailable:
            self.__exit__()
            raise

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            try:
                connection.send(Stop())
            except OSError:
                continue  # it has ended already
        for process in self._processes:
            process.join(_STOP_SECONDS)
            if process.is_alive():
                process.terminate()
                process.join()
        for connection in self._connections:
            connection.close()

    def pids(self) -> list[int]:
        """The worker processes' ids, for measuring."""
        return [process.pid for process in self._processes if process.pid is not None]

    def send(self, device: int, message: ToWorker) -> None:
        """See `Workers.send`."""
        self._tell(device % self.count, message)

    def enroll(self, devices: range, link: str) -> None:
        """See `Workers.enroll`."""
        for number in range(self.count):
            own = tuple(device for device in devices if device % self.count == number)
            self.send(number, Enroll(own, link))

    def receive(self) -> list[FromWorker]:
        """See `Workers.receive`."""
        try:
            ready = wait(self._connections)
            return [connection.recv() for connection in self._connections if connection in ready]
        except (EOFError, OSError) as error:
            raise _gone() from error

    def _tell(self, number: int, message: Any) -> None:
        try:
            self._connections[number].send(message)
        except OSError as error:
            raise _gone() from error


def _serve(connection: Connection) -> None:
    """The life of a worker process: it is told first what its devices share."""

    def context(run_native: RunNative) -> SharedContext:
        make_context: MakeContext = connection.recv()
        return make_context(run_native)

    serve(connection, context)


def _gone() -> Unavailable:
    return Unavailable(
        "a worker process ended by itself", remedy="look for an out-of-memory message, use fewer workers"
    )

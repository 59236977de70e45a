"""Workers on a Ray cluster: the third implementation of `fedrela.emulator.workers.workers.Workers`.

Each worker is an actor whose inner half is the same `fedrela.emulator.workers.worker.serve` as in a process of its own;
instead of a pipe it has two queues. Where a worker runs changes nothing about what it computes, so weights and event
log are those of `Processes`.

    with RayWorkers(2, make_context, address="") as workers: ...
"""

import os
import queue
import threading
from contextlib import chdir
from typing import Any

from fedrela.core import interpreter
from fedrela.core.errors import MissingDependency, Unavailable
from fedrela.emulator.fleet.messages import Enroll, FromWorker, ToWorker
from fedrela.emulator.workers.worker import MakeContext, serve

_LOCAL_SETTINGS = {"include_dashboard": False, "log_to_driver": False, "configure_logging": False}
_LOCAL_STORE_BYTES = 80_000_000  # of Ray's shared objects: messages are small
_LOCAL_STARTS = 3  # Ray gives a node 30 seconds to start, and no way to give more; a busy machine may need a second go


def import_ray() -> Any:
    """The package, when a cluster is asked for: it is large, and an extra. Raises MissingDependency."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "--engine ray needs Ray, which is not installed", remedy="run: pip install 'fedrela[ray]'"
        ) from error
    return ray


class QueueConnection:
    """The half of a `multiprocessing` connection that `serve` uses, over two queues of this process."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[ToWorker] = queue.Queue()
        self.outbox: queue.Queue[FromWorker] = queue.Queue()
        self._peeked: list[ToWorker] = []

    def send(self, message: FromWorker) -> None:
        """Tell the fleet."""
        self.outbox.put(message)

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Has the fleet sent something? Waits for `timeout` seconds, for ever if it is None."""
        if not self._peeked:
            try:
                self._peeked.append(self.inbox.get(timeout != 0, timeout or None))
            except queue.Empty:
                return False
        return True

    def recv(self) -> ToWorker:
        """What the fleet has sent; waits for it."""
        return self._peeked.pop() if self._peeked else self.inbox.get()


class WorkerActor:
    """The actor: one worker, computing in a thread of its own, so that it hears of messages between two steps."""

    def __init__(self, make_context: MakeContext) -> None:
        self._connection = QueueConnection()
        self._thread = threading.Thread(target=serve, args=(self._connection, make_context), daemon=True)
        self._thread.start()

    def tell(self, message: ToWorker) -> None:
        """Hand a message to the worker."""
        self._connection.inbox.put(message)

    def hear(self) -> list[FromWorker]:
        """What the worker has sent since; waits until there is something."""
        messages = [self._connection.outbox.get()]
        while not self._connection.outbox.empty():
            messages.append(self._connection.outbox.get())
        return messages


class RayWorkers:
    """`count` actors, ended when the context is left; so is a cluster that was started for them.

    `address`: of a running cluster ("auto" finds one on this machine); "" starts one here, on loopback, for this run.
    Every machine of a cluster needs this package and must reach the coordinator; data and programs are sent to it.
    """

    def __init__(self, count: int, make_context: MakeContext, *, address: str = "") -> None:
        self.count = count
        self._ray = import_ray()
        self._owned = not self._ray.is_initialized()
        if self._owned:
            self._connect(address)
        # One thread each for telling and hearing: what is told stays in order, and both go on at once.
        actor_class = self._ray.remote(num_cpus=0, concurrency_groups={"tell": 1, "hear": 1})(WorkerActor)
        shipped = self._ray.put(make_context)  # one copy per machine
        self._actors = [actor_class.remote(shipped) for _ in range(count)]
        self._heard = {self._hear(number): number for number in range(count)}

    def __enter__(self) -> "RayWorkers":
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        if self._owned:
            self._ray.shutdown()

    def send(self, device: int, message: ToWorker) -> None:
        """See `Workers.send`."""
        self._actors[device % self.count].tell.options(concurrency_group="tell").remote(message)

    def enroll(self, devices: range, link: str) -> None:
        """See `Workers.enroll`."""
        for number in range(self.count):
            self.send(number, Enroll(tuple(device for device in devices if device % self.count == number), link))

    def receive(self) -> list[FromWorker]:
        """See `Workers.receive`."""
        ready, _ = self._ray.wait(list(self._heard), num_returns=1)
        messages: list[FromWorker] = []
        for reference in ready:
            number = self._heard.pop(reference)
            try:
                messages += self._ray.get(reference)
            except self._ray.exceptions.RayError as error:
                raise Unavailable(
                    f"a worker on the Ray cluster ended ({type(error).__name__})",
                    remedy="look at its log under /tmp/ray, and that every machine has this package",
                ) from error
            self._heard[self._hear(number)] = number
        return messages

    def _hear(self, number: int) -> Any:
        return self._actors[number].hear.options(concurrency_group="hear").remote()

    def _connect(self, address: str) -> None:
        try:
            with chdir(interpreter.HOME):  # Ray's workers look there first, and would in the caller's folder
                if address:
                    self._ray.init(address=address, log_to_driver=False)
                else:
                    self._start_here(_LOCAL_STARTS)
        except Exception as error:  # Ray raises plain Exception too, where a node takes too long to start
            raise Unavailable(
                f"the Ray cluster can't be reached or started ({str(error)[:200]})",
                remedy="start it with `ray start --head`, or leave --ray-address out",
            ) from error

    def _start_here(self, starts: int) -> None:
        # Ray takes a node's outward address, and listens on all of them, unless it is told that there is no
        # cluster; its own name for the setting speaks of the systems where that is the default.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        from ray._private import ray_constants

        ray_constants.ENABLE_RAY_CLUSTER = False
        settings = _LOCAL_SETTINGS | {"num_cpus": self.count, "object_store_memory": _LOCAL_STORE_BYTES}
        for left in reversed(range(starts)):
            try:
                self._ray.init(_node_ip_address="127.0.0.1", **settings)
                return
            except Exception as error:
                self._ray.shutdown()
                if not left or "timed out" not in str(error):
                    raise

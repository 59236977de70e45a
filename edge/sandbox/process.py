"""A device's side of its runtime's process: it starts it, asks it, watches it, and believes nothing that it says.

The process holds the programs, which a coordinator may have chosen with care, and the runtime that reads them. It gets
none of the device's secrets: another program, started with an environment of a few names and every descriptor closed
but its socket and the shared memory. Once it has loaded its libraries it seals itself (`fedrela.edge.sandbox.seal`),
before it sees the first program. Whatever it does then, be it to end, to hang, to grow or to answer nonsense, is an
`EndedRuntime` here, and the next assignment begins in another.

    sandbox = Sandbox(("onnx",), threads=1)
    sandbox.start()                                  # at once, so that it loads while the device checks in
    sandbox.version("onnx"), str(sandbox.confinement)
"""

import json
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedrela.core import strict
from fedrela.core.errors import InvalidMessage, MissingDependency
from fedrela.edge.engines.engine import INSTALL
from fedrela.edge.sandbox import unstartable
from fedrela.edge.sandbox.answers import REMEDY, EndedRuntime, Limits, answer, ended
from fedrela.edge.sandbox.channel import FAULTS, REQUEST, Arena
from fedrela.edge.sandbox.launch import Child, launch
from fedrela.edge.sandbox.seal import Confinement
from fedrela.edge.sandbox.warm_up import MISSING

__all__ = ["EndedRuntime", "Limits", "Sandbox"]

START_SECONDS = 120.0


@dataclass(frozen=True)
class Hello:
    """What a process says of itself before it has seen any program."""

    measures: tuple[str, ...]
    reason: str
    versions: dict[str, str]  # by runtime
    missing: dict[str, str]  # runtime -> what it lacks


class Sandbox:
    """One process at a time, for all engines of a device; calls from several threads take turns.

    `required`: a process that can't seal itself is refused.
    """

    def __init__(
        self, runtimes: tuple[str, ...], *, threads: int = 1, limits: Limits | None = None, required: bool = False
    ) -> None:
        self.runtimes, self.threads, self.limits, self.required = runtimes, threads, limits or Limits(), required
        self.generation = 0  # how many processes there have been: whoever holds something in one knows it gone
        self.closed: list[int] = []  # engines that nobody holds any more: the process is told with the next call
        self.lock = threading.RLock()
        self._child: Child | None = None
        self._hello: Hello | None = None
        self._end: weakref.finalize[Any, Any] | None = None

    def start(self) -> None:
        """Start a process unless one runs; it isn't waited for. Raises MissingDependency where the system has none."""
        with self.lock:
            if self._child is None or self._child.process.poll() is not None:
                self.close()
                try:
                    self._child = launch(self.runtimes, threads=self.threads, memory_bytes=self.limits.memory())
                except OSError as error:
                    raise unstartable.error(self.runtimes, str(error)) from error
                self.generation += 1
                self._end = weakref.finalize(self, self._child.end)

    def close(self) -> None:
        """End the process, if there is one."""
        with self.lock:
            if self._end is not None:
                self._end()
            self._child = self._hello = self._end = None

    @property
    def process_id(self) -> int | None:
        """Of the process that runs now."""
        return self._child.process.pid if self._child else None

    @property
    def confinement(self) -> Confinement:
        """What holds the process back. Raises MissingDependency where none starts."""
        hello = self.hello()
        return Confinement(hello.measures, hello.reason)

    def version(self, runtime: str) -> str:
        """The version of a runtime there. Raises MissingDependency where it isn't installed."""
        hello = self.hello()
        if runtime not in hello.versions:
            lacks = hello.missing.get(runtime, "it was not asked for")
            known = runtime in hello.missing and runtime in unstartable.PACKAGES
            if known and not lacks.endswith(MISSING):  # it is installed, and can't be loaded
                raise unstartable.error((runtime,), lacks)
            raise MissingDependency(
                f"the runtime {runtime} is not installed ({lacks})", remedy=INSTALL.get(runtime, "choose another")
            )
        return hello.versions[runtime]

    def hello(self) -> Hello:
        """What the process said when it had sealed itself; one is started if none runs. Raises MissingDependency."""
        with self.lock:
            self.start()
            if self._hello is None:
                try:
                    text = self._answer(replace(self.limits, seconds=START_SECONDS), "its start")
                    self._hello = strict.from_json(Hello, text)
                except (EndedRuntime, InvalidMessage) as fault:
                    self.close()
                    raise unstartable.error(self.runtimes, fault.problem) from fault
            if self.required and "seccomp" not in self._hello.measures:
                reason = self._hello.reason
                self.close()
                raise MissingDependency(
                    f"this system can't confine a program: {reason}",
                    remedy="use Linux with seccomp, or set require_sandbox = false",
                )
            return self._hello

    def arena(self) -> Arena:
        """The memory shared with the process that runs now."""
        return self._running().arena

    def call(self, request: Mapping[str, Any], bodies: Sequence[bytes] = ()) -> None:
        """Ask the process that runs, and wait: the results are in the arena.

        Raises what the process says went wrong, or EndedRuntime.
        """
        what = str(request["call"])
        with self.lock:
            child = self._running()
            closed = [self.closed.pop() for _ in range(len(self.closed))]
            body = json.dumps({**request, "closed": closed} if closed else request).encode()
            child.requests += 1
            child.connection.settimeout(self.limits.seconds)
            try:
                child.connection.sendall(REQUEST.pack(len(body), sum(map(len, bodies))) + body)
                for part in bodies:
                    child.connection.sendall(part)
            except OSError as error:
                fault = ended(child, what)
                self.close()
                raise fault from error
            except BaseException:
                self.close()
                raise
            self._answer(self.limits, what)

    def _running(self) -> Child:
        if self._child is None:
            raise EndedRuntime("the runtime's process is gone", remedy=REMEDY)
        return self._child

    def _answer(self, limits: Limits, what: str) -> bytes:
        """The answer to the last request; a process that gave none isn't asked again."""
        try:
            return answer(self._running(), limits, what)
        except BaseException as fault:
            # Also where somebody interrupts us: this call's answer must not be taken for the next one's.
            if isinstance(fault, EndedRuntime) or not isinstance(fault, FAULTS):
                self.close()
            raise

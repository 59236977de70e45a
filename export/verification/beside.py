"""Work in another process beside this one's, where that is possible: eager PyTorch's steps, while programs are traced.

The process is a fork, for not every model can be sent to another one, and computes with one thread, as the fork of a
process with threads has to. Where there is no fork, and where it ends without a result for whatever reason, the work is
done here when its result is asked for: an error is raised where it can be told what it came from. It computes with one
thread here, too, unless all are asked for: sums over several threads round differently, and what is written into a
bundle must not depend on whether there was a fork.

with Beside(lambda: slow(model), possible()) as beside:
    quick(model)
    result = beside.result()
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
LOOK_SECONDS = 20.0  # between two looks whether the other process still does anything


def possible() -> bool:
    """Whether a fork of this process may compute, and there is a core for it."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    return cores > 1 and not multiprocessing.current_process().daemon


class Beside(Generic[T]):
    """`work`, begun in another process if `fork`; that process ends with its `with`, whatever happens.

    all_threads: that it may compute with all threads of PyTorch's; not in a fork.
    """

    def __init__(self, work: Callable[[], T], fork: bool, all_threads: bool = False) -> None:
        self._work, self._threads = work, torch.get_num_threads() if all_threads else 1
        self._received, sending = multiprocessing.Pipe(duplex=False)
        self._process = (
            multiprocessing.get_context("fork").Process(target=_apart, args=(work, sending)) if fork else None
        )
        if self._process is not None:
            self._process.start()
        sending.close()  # the other process's end alone is left: when that ends, nothing more can come

    def __enter__(self) -> "Beside[T]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._received.close()
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def result(self) -> T:
        """Wait for what `work` gives. Raises what it raises."""
        try:
            self._wait()
            given: T = self._received.recv()
        except EOFError:
            with _threads(self._threads):
                return self._work()
        return given

    def _wait(self) -> None:
        """Until something comes, or nothing will: a process that does nothing waits for a lock that nobody holds."""
        spent = -1
        while self._process is not None and not self._received.poll(LOOK_SECONDS):
            spent, before = _processor_time(self._process.pid), spent
            if spent == before:
                self._process.kill()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch computes with so many within."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _processor_time(process: int | None) -> int:
    """What it has had, in the system's ticks."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _apart(work: Callable[[], T], sending: Connection) -> None:
    """What the other process does: silently, and with no thread but this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who was asked to stop ends this process, too
    os.nice(5)  # its result is waited for last
    with Path(os.devnull).open("w") as nowhere:
        sys.stdout = sys.stderr = nowhere  # a lock of theirs may have been held by a thread that isn't here
        torch.set_num_threads(1)
        try:
            sending.send(work())
        finally:
            os._exit(0)

"""A function in a process of its own, ended with all that it starts where they take more time or memory than they may.

The process is a fork: what this one has imported it needn't import again, which takes longer than to export a small
net.

ran = run(lambda: print("done"), Limits())
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import psutil

_EVERY_SECONDS = 0.2
_STUCK = 20.0  # times the processor seconds by the clock: nothing is waited for, so something waits for ever


@dataclass(frozen=True)
class Limits:
    """For a process with all its children."""

    processor_seconds: float = 120.0
    as_long_again_after: str = ""  # what it prints when a second part begins, which may take as long as the first
    resident_bytes: float = 4 * 2.0**30


@dataclass(frozen=True)
class Ran:
    """What it wrote, what it took, and what ended it: "over time", "over memory", "stuck" or "".

    processor_seconds and resident_bytes: of all its processes together, looked at five times a second.
    """

    output: str
    complaints: str
    status: int | None
    processor_seconds: float
    resident_bytes: float
    beyond: str


def run(work: Callable[[], None], limits: Limits) -> Ran:
    """Run it in a group of its own; what it prints and complains is kept."""
    sys.stdout.flush()
    sys.stderr.flush()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = multiprocessing.get_context("fork").Process(target=_apart, args=(work, out.fileno(), err.fileno()))
        process.start()
        try:
            seconds, largest, beyond = _watch(process, limits, out.fileno())
        finally:
            _end(process)
        out.seek(0)
        err.seek(0)
        return Ran(out.read(), err.read(), process.exitcode, seconds, largest, beyond)


def _apart(work: Callable[[], None], out: int, err: int) -> None:
    """In the new process."""
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    work()
    sys.stdout.flush()


def _watch(process: BaseProcess, limits: Limits, out: int) -> tuple[float, float, str]:
    """Until it ends or a limit is passed: processor seconds, the most bytes at once, and which limit."""
    seconds = largest = 0.0
    began = time.monotonic()
    while process.is_alive():
        assert process.pid
        now, resident = _taken(process.pid)
        seconds, largest = max(seconds, now), max(largest, resident)
        if seconds > limits.processor_seconds and seconds > _allowed_seconds(limits, out):
            return seconds, largest, "over time"
        if largest > limits.resident_bytes:
            return seconds, largest, "over memory"
        if time.monotonic() - began > _STUCK * limits.processor_seconds:
            return seconds, largest, "stuck"
        time.sleep(_EVERY_SECONDS)
    return seconds, largest, ""


def _allowed_seconds(limits: Limits, out: int) -> float:
    """By what was written so far to the file `out`."""
    later = limits.as_long_again_after.encode()
    began = bool(later) and later in os.pread(out, 1 << 20, 0)
    return limits.processor_seconds * (2 if began else 1)


def _taken(pid: int) -> tuple[float, float]:
    """Processor seconds so far, and bytes in memory now, of a process and all below it."""
    seconds = resident = 0.0
    try:
        root = psutil.Process(pid)
        own = root.cpu_times()
        seconds += own.children_user + own.children_system
        for one in (root, *root.children(recursive=True)):
            times = one.cpu_times()
            seconds += times.user + times.system
            resident += one.memory_full_info().pss  # a fork's pages, which it shares, count once
    except psutil.Error:
        pass  # it ended meanwhile
    return seconds, resident


def _end(process: BaseProcess) -> None:
    assert process.pid
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # it may not have a group of its own yet
    process.join()

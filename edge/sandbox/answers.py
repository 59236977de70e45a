"""Waits for a runtime's process, no longer and no larger than it may be, and reads its answer as a stranger's.

text = answer(child, Limits(seconds=60.0), "train_step")
"""

import os
import select
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass

import psutil

from fedrela.core.errors import InvalidBundle
from fedrela.edge.sandbox.channel import DONE, FAULTS, LOW_BITS, MOST_TEXT, REPLY, fault_of
from fedrela.edge.sandbox.launch import Child

REMEDY = "another process is started for the next assignment; if it happens again, tell the operator"
WATCH_SECONDS = 0.25  # between two looks at a process that computes
_READ_BYTES = REPLY.size + MOST_TEXT + 1


class EndedRuntime(InvalidBundle):
    """A program ended its runtime's process, overran its limits, or made it answer nonsense."""


@dataclass(frozen=True)
class Limits:
    """What one call may take. `memory_bytes` 0: half of what this machine has."""

    seconds: float = 300.0
    memory_bytes: int = 0

    def memory(self) -> int:
        """The limit in bytes."""
        return self.memory_bytes or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def answer(child: Child, limits: Limits, what: str) -> bytes:
    """The text of the answer to the child's last request.

    Raises what the answer says went wrong, or EndedRuntime: the child can't be used any more then.
    """
    received = bytearray()
    deadline = time.monotonic() + limits.seconds
    waiting = select.poll()
    waiting.register(child.connection, select.POLLIN)
    wanted = REPLY.size
    while len(received) < wanted:
        if not waiting.poll(1000 * min(WATCH_SECONDS, max(deadline - time.monotonic(), 0.0))):
            watch(child, limits, what)
            if time.monotonic() >= deadline:
                raise EndedRuntime(f"{what} took more than {limits.seconds:g} s", remedy=REMEDY)
            continue
        received += _received(child, what)
        if len(received) >= REPLY.size:
            number, place, length = REPLY.unpack_from(received)
            wanted = REPLY.size + length
            fits = number == child.requests & LOW_BITS and place <= len(FAULTS) and length <= MOST_TEXT
            if not fits or len(received) > wanted:
                raise EndedRuntime(f"{what} was answered with nonsense", remedy=REMEDY)
    if time.monotonic() - child.watched_at > WATCH_SECONDS:
        watch(child, limits, what)
    text = bytes(received[REPLY.size :])
    if place != DONE:
        raise fault_of(place, text)
    return text


def watch(child: Child, limits: Limits, what: str) -> None:
    """Raise EndedRuntime for a process that holds too much memory."""
    child.watched_at = time.monotonic()
    with suppress(psutil.Error):
        held, most = psutil.Process(child.process.pid).memory_info().rss, limits.memory()
        if held > most:
            raise EndedRuntime(f"{what} took {held >> 20} MiB, of {most >> 20} allowed", remedy=REMEDY)


def ended(child: Child, what: str) -> EndedRuntime:
    """Of a process that closed its end of the socket: how it ended."""
    with suppress(subprocess.TimeoutExpired):
        child.process.wait(1)
    code = child.process.returncode
    how = "is silent" if code is None else f"ended with signal {-code}" if code < 0 else f"ended with status {code}"
    return EndedRuntime(f"the runtime's process {how} ({what})", remedy=REMEDY)


def _received(child: Child, what: str) -> bytes:
    try:
        part = child.connection.recv(_READ_BYTES)
    except ConnectionError:
        part = b""
    if not part:
        raise ended(child, what)
    return part

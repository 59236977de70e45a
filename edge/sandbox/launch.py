"""Starts a runtime's process with nothing of this one's but a socket, the shared memory and a few names.

child = launch(("onnx",), threads=1, memory_bytes=1 << 30)
child.end()
"""

import os
import socket
import subprocess
import threading
from dataclasses import dataclass

from fedrela.core import interpreter
from fedrela.edge.sandbox.channel import Arena, arena_memory

# What a process is told of this one's environment: where Python and its libraries are.
_NAMES = ("HOME", "LANG", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PATH")
_PREFIX = "PYTHON"
# numpy's own threads, which nothing there uses, would be there before the seal, and Landlock holds one thread.
_ALONE = {"OPENBLAS_NUM_THREADS": "1"}
MOST_ARENA_BYTES = 1 << 36  # of addresses; memory is taken as it is used
LEAST_ARENA_BYTES = 1 << 20


@dataclass
class Child:
    """A running process, and how many requests it was sent."""

    process: subprocess.Popen[bytes]
    connection: socket.socket
    arena: Arena
    requests: int = 0
    watched_at: float = 0.0  # when its memory was looked at, by time.monotonic()

    def end(self) -> None:
        """End the process: it has nothing to save."""
        self.connection.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def launch(runtimes: tuple[str, ...], *, threads: int, memory_bytes: int) -> Child:
    """Start a process, without waiting for it. Raises OSError."""
    arena_bytes = min(MOST_ARENA_BYTES, max(memory_bytes, LEAST_ARENA_BYTES))
    descriptor = arena_memory(arena_bytes)
    ours, theirs = socket.socketpair()
    # The kernel ends a child with the thread that started it; where that isn't the last one, the child sees to itself.
    parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
    numbers = (theirs.fileno(), descriptor, arena_bytes, memory_bytes, threads, parent)
    try:
        process = subprocess.Popen(
            interpreter.command("fedrela.edge.sandbox.child", *map(str, numbers), *runtimes),
            env=_environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(), descriptor),
            start_new_session=True,
        )
        return Child(process, ours, Arena(descriptor, arena_bytes))
    finally:
        theirs.close()
        os.close(descriptor)


def _environment() -> dict[str, str]:
    every = interpreter.environment()
    chosen = {name: value for name, value in every.items() if name in _NAMES or name.startswith(_PREFIX)}
    return chosen | interpreter.QUIET | _ALONE

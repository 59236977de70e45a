"""Which process holds something, and whether it still lives."""

import os
import socket

HOST = socket.gethostname()


def worker_name() -> str:
    """This process, so that another on the same host can see whether it still lives."""
    return f"{HOST}/{os.getpid()}"


def is_alive(worker: str) -> bool:
    """Whether another worker can still be at work. On another host only its lease can tell."""
    host, _, pid = worker.rpartition("/")
    if host != HOST:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

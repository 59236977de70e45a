"""Ports for servers that have to be told theirs: none that the system gives to a connection meanwhile.

A port below those of outgoing connections stays free until the server takes it; each worker of a run has its own.
"""

import itertools
import os
import socket

FIRST, OF_A_WORKER, WORKERS = 12_000, 1_000, 20  # Linux gives 32768 and above to connections
_turn = itertools.count(os.getpid())


def free_port() -> int:
    """A port that nobody listens on, and that only this worker hands out, another one each time."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
    for _ in range(OF_A_WORKER):
        port = FIRST + worker * OF_A_WORKER + next(_turn) % OF_A_WORKER
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("every port of this worker is in use")

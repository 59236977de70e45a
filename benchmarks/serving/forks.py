"""Serves the coordinator in forked children and forks another as soon as one dies. For `coordinator_kills`.

    python -m benchmarks.serving.forks PORT WORKERS

The listening socket belongs to the parent, which imports everything once: a new coordinator is up in milliseconds, so
hundreds of kills fit into minutes. Prints the process id of each child. The settings come from the environment.
"""

import os
import socket
import sys

import uvicorn

from fedrela.coordinator.app import app


def main() -> None:
    """Fork for ever; end with the parent of this process, when standard input closes, or by SIGTERM."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(sys.argv[1])))
    listener.listen(256)
    for _ in range(int(sys.argv[2])):
        _fork(listener)
    while True:
        os.wait()
        _fork(listener)


def _fork(listener: socket.socket) -> None:
    child = os.fork()
    if child == 0:
        config = uvicorn.Config(app, access_log=False, log_level="error")
        uvicorn.Server(config).run(sockets=[listener])
        os._exit(0)
    print(child, flush=True)


if __name__ == "__main__":
    main()

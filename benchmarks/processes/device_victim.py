"""A device for `benchmarks.device_kills`: its folder, and the process that runs one assignment of it.

May import every package.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import bundle, tensors
from fedrela.core.protocol import links
from fedrela.core.protocol.links import Link
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.owner.membership import enroll
from fedrela.edge.storage.sent_log import LOG_KEY
from fedrela.edge.storage.state import load_assignment
from fedrela.edge.storage.store import FolderStore

SECRET = bytes(range(32))
CHECKPOINT_STEPS = 7
WORDS = ["device", "run", "--once", "--json", "--data", "data.npz", "--settings", "settings.toml", "--state", "state"]
IMPORTED = [
    "fedrela.edge.owner.cli",
    "fedrela.edge.client",
    "fedrela.edge.engines.onnx_engine",
    "fedrela.edge.owner.progress",
    "fedrela.edge.conditions.sensors",
    "fedrela.edge.owner.signals",
]
IMPORTED += ["fedrela.edge.sources.arrays", "benchmarks.processes.device_victim"]


class Running:
    """One assignment in a process of its own, which prints a JSON line for every event."""

    def __init__(
        self, lines: Any, alive: Callable[[], bool], kill: Callable[[], None], end: Callable[[], int | None]
    ) -> None:
        self._lines, self.alive, self._kill, self._end = lines, alive, kill, end

    def next(self) -> dict[str, Any] | None:
        """The next event; None where there is none any more."""
        line = self._lines.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def wait_for(self, is_reached: Callable[[dict[str, Any]], bool]) -> None:
        """Read until the wanted event, or to the end."""
        while (event := self.next()) is not None:
            if is_reached(event):
                return

    def kill(self) -> bool:
        """SIGKILL; whether the process was still alive for it."""
        self._kill()
        killed = self._end() == -signal.SIGKILL
        self._lines.close()
        return killed

    def finish(self) -> None:
        """Let it run to its end."""
        if self.ended():
            raise AssertionError("the device failed")

    def kill_meanwhile(self) -> None:
        """SIGKILL, while another thread waits for its end."""
        self._kill()

    def ended(self) -> int | None:
        """Wait for its end, whatever it is: the exit status, negative after a signal."""
        self.wait_for(lambda event: False)
        self._lines.close()
        return self._end()


class Victim:
    """A device's state folder and its data. Its secret is fixed, so that its client rounds can be compared."""

    def __init__(self, folder: Path, link: Link, x: np.ndarray, y: np.ndarray) -> None:
        folder.mkdir(parents=True)
        np.savez(folder / "data.npz", x=x, y=y)
        (folder / "settings.toml").write_text(f"checkpoint_steps = {CHECKPOINT_STEPS}\n")
        self.folder, self.store = folder, FolderStore(folder / "state")
        enroll(CoordinatorApi(httpx.Client()), self.store, link, secret=SECRET)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(IMPORTED)

    def start(self, *, fresh: bool) -> Running:
        """Run one assignment: in a new interpreter, or in a fork of one that has imported everything."""
        if fresh:
            environment = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
            environment["PYTHONPATH"] = str(Path(__file__).parents[2])
            command = [sys.executable, "-m", "fedrela", *WORDS]
            started = subprocess.Popen(
                command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
            )
            return Running(started.stdout, lambda: started.poll() is None, started.kill, started.wait)
        reader, writer = self._context.Pipe(duplex=False)
        forked = self._context.Process(target=take_assignment, args=(str(self.folder), writer))
        forked.start()
        writer.close()

        def end() -> int | None:
            forked.join()
            return forked.exitcode

        return Running(os.fdopen(os.dup(reader.fileno()), "rb"), forked.is_alive, forked.kill, end)

    def progress(self) -> tuple[int, bool, bool]:
        """Steps in the newest checkpoint; whether the update is finished; whether there is an assignment at all."""
        if load_assignment(self.store) is None:
            return 0, False, False
        snapshot = self.store.get("assignment/snapshot")
        steps = int(tensors.read_metadata(snapshot)["steps"]) if snapshot else 0
        return steps, self.store.get("assignment/update") is not None, True

    def uploads(self) -> int:
        """How often an update was sent; requests are logged before they are sent."""
        return (self.store.get(LOG_KEY) or b"").count(b"/update")

    def forget_downloads(self) -> None:
        """Whatever was downloaded and tested must be downloaded and tested again."""
        for prefix in ("blobs/", "checkpoint/", "partial/", "self-tests/"):
            for key in self.store.keys(prefix):
                self.store.delete(key)

    def uploaded(self) -> bytes:
        """The newest update that was sent."""
        body = self.store.get("last/update")
        assert body is not None
        return body


def take_assignment(folder: str, writer: Any) -> None:
    """`fedrela device run --once` in a forked process, its output into a pipe."""
    from fedrela.edge.owner.cli import app

    os.chdir(folder)
    os.dup2(writer.fileno(), 1)
    app(WORDS, standalone_mode=False)


def new_link(admin: AdminClient, bundle_folder: Path) -> Link:
    """An enrollment link for one device that runs programs of this bundle's publisher."""
    publisher = bundle.read(bundle_folder).seal.publisher()
    return links.parse(admin.enrollment_link("default", 1, valid_seconds=3600.0, publishers=(publisher,)))

"""The Kotlin client as a device for `benchmarks.device_kills`: a new process of the command `android/cli` each time.

May import every package.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes.device_victim import CHECKPOINT_STEPS, SECRET, Running, Victim
from fedrela.core import tensors
from fedrela.core.protocol.links import Link
from fedrela.edge.storage.store import FolderStore

TARGET = Path(__file__).parents[2] / "android" / "cli" / "target"
CLASS_PATH = f"{TARGET / 'classes'}:{TARGET / 'lib'}/*"
# A small heap and one compiler: a device is no server, and many of them run at once in tests.
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", CLASS_PATH]
MAIN = "org.fedrela.cli.MainKt"
RECORD, SNAPSHOT, UPDATE = "assignment/assignment.json", "assignment/snapshot", "assignment/update"


class KotlinRunning(Running):
    """One assignment of the command, whose lines of text are made into the events that a Python device tells."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        super().__init__(process.stdout, lambda: process.poll() is None, process.kill, process.wait)
        self._pending: list[dict[str, Any]] = []

    def next(self) -> dict[str, Any] | None:
        """The next event; None where there is none any more."""
        if self._pending:
            return self._pending.pop()
        line = self._lines.readline()
        return self._event(line.decode().split()) if line.endswith(b"\n") else None

    def _event(self, words: list[str]) -> dict[str, Any]:
        if words[0] != "step":
            return {"event": words[0]}
        number, steps = int(words[1]), int(words[3])
        if number == steps - 1:  # from 0
            self._pending.append({"event": "trained"})
        return {"event": "step", "step": number}


class KotlinVictim(Victim):
    """A Kotlin device's state folder and its data."""

    def __init__(self, folder: Path, link: Link, x: np.ndarray, y: np.ndarray) -> None:
        folder.mkdir(parents=True)
        (folder / "data.safetensors").write_bytes(tensors.to_bytes({"x": x, "y": y.astype(np.int64)}))
        self.folder, self.store = folder, FolderStore(folder / "state")
        command = self._command("enroll", "--link", link.text(), "--secret", SECRET.hex())
        subprocess.run(command, cwd=folder, check=True)

    def start(self, *, fresh: bool) -> Running:
        """Run one assignment, in a new process whatever is asked for: a JVM can't be forked."""
        command = self._command("once", "--checkpoint-steps", str(CHECKPOINT_STEPS))
        started = subprocess.Popen(
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": "/usr/bin:/bin"}
        )
        return KotlinRunning(started)

    def progress(self) -> tuple[int, bool, bool]:
        """See `Victim.progress`."""
        if self.store.get(RECORD) is None:
            return 0, False, False
        snapshot = self.store.get(SNAPSHOT)
        steps = int(tensors.read_metadata(snapshot)["steps"]) if snapshot else 0
        return steps, self.store.get(UPDATE) is not None, True

    def _command(self, verb: str, *options: str) -> list[str]:
        return [*JAVA, MAIN, verb, "--state", "state", "--data", "data.safetensors", *options]


VICTIMS: dict[str, Callable[[Path, Link, np.ndarray, np.ndarray], Victim]] = {"python": Victim, "kotlin": KotlinVictim}

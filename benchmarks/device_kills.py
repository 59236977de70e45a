"""Kill a device with SIGKILL at random instants, again and again: every update must equal the undisturbed one.

    python -m benchmarks.device_kills --kills 200

One device process (`fedrela device run --once`) works against a real coordinator. It is killed at a random instant and
started anew until its round is done; the body that it uploaded is compared, byte for byte, with that of a device that
nobody disturbed. Rounds follow each other until the wanted number of kills is reached. Prints a table and writes
benchmarks/results/device_kills.json. May import every package.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import numpy as np

from coordinator.admin_client import AdminClient
from core.task import LocalTraining, Relabel, Rounds, Task
from edge.api import CoordinatorApi
from edge.client import enrol
from edge.state import load_turn
from edge.store import FolderStore

SECRET = bytes(range(32))
RESULTS = Path(__file__).parent / "results" / "device_kills.json"


@dataclass
class Kills:
    """What happened. `phases`: where the device was when it was killed."""

    kills: int = 0
    rounds: int = 0
    identical: int = 0
    resumed_from_a_checkpoint: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


def task() -> Task:
    """One round of a few hundred steps, on re-labeled data."""
    return Task(
        "kills",
        rounds=1,
        local=LocalTraining(epochs=30, batch_size=8),
        relabel=Relabel(start=1, threshold_percent=20.0),
        round=Rounds(goal=1, compute_lease_seconds=600, deadline_seconds=600),
    )


class Victim:
    """A device's state folder, its data, and the command that runs it."""

    def __init__(self, folder: Path, url: str, token: str, x: np.ndarray, y: np.ndarray) -> None:
        folder.mkdir(parents=True)
        np.savez(folder / "data.npz", x=x, y=y)
        (folder / "settings.toml").write_text("checkpoint_steps = 7\n")
        self.state = folder / "state"
        enrol(CoordinatorApi(httpx.Client(), url), FolderStore(self.state), token, secret=SECRET)
        words = [
            "device",
            "run",
            "--once",
            "--json",
            "--data",
            "data.npz",
            "--settings",
            "settings.toml",
            "--state",
            "state",
        ]
        self.command = [sys.executable, "-m", "fedrela", *words]
        self.folder = folder

    def start(self) -> subprocess.Popen[bytes]:
        """Run one turn in a process of its own, which prints a JSON line for every event."""
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parent.parent), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            self.command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )

    def finish(self) -> float:
        """Run undisturbed until the turn is done; the seconds from its first event to its end."""
        process = self.start()
        assert process.stdout is not None
        process.stdout.readline()
        started = time.monotonic()
        said, _ = process.communicate(timeout=300)
        if process.returncode or b'"uploaded"' not in said:
            raise AssertionError(f"the device did not upload: {said.decode()[-500:]}")
        return time.monotonic() - started

    def uploaded(self) -> bytes:
        """The newest update that was sent."""
        body = FolderStore(self.state).get("last/update")
        assert body is not None
        return body

    def phase(self) -> str:
        """Where the device is, by its files."""
        store = FolderStore(self.state)
        if load_turn(store) is None:
            return "before or after the turn"
        if store.get("turn/update") is not None:
            return "upload"
        if store.get("turn/snapshot") is not None:
            return "training"
        return "download, re-label, first steps"


@dataclass
class Tormentor:
    """Kills a victim until the limit is reached. `busy_seconds`: how long an undisturbed turn takes."""

    rng: random.Random
    limit: int
    busy_seconds: float
    found: Kills = field(default_factory=Kills)

    def run(self, victim: Victim, expected: bytes, done: Callable[[], bool]) -> None:
        """Start and kill until the round is done; compare what was uploaded."""
        while not done():
            process = victim.start()
            assert process.stdout is not None
            if self.found.kills >= self.limit:
                process.communicate(timeout=300)
            else:
                self.kill(process, victim)
            process.stdout.close()
        self.found.rounds += 1
        self.found.identical += victim.uploaded() == expected

    def kill(self, process: subprocess.Popen[bytes], victim: Victim) -> None:
        """Kill while the program starts (one in five) or at a random instant after its first event."""
        assert process.stdout is not None
        starting = self.rng.random() < 0.2
        if not starting:
            process.stdout.readline()
        time.sleep(self.rng.uniform(0, 0.5 if starting else 1.1 * self.busy_seconds))
        alive = process.poll() is None
        process.kill()
        process.wait()
        if alive:
            phase = victim.phase()
            self.found.kills += 1
            self.found.phases[phase] = self.found.phases.get(phase, 0) + 1
            self.found.resumed_from_a_checkpoint += phase == "training"
            if sys.stderr.isatty():
                print(f"\r{self.found.kills} of {self.limit} kills", end="", file=sys.stderr, flush=True)


def survive(
    bundle: Path, admin: AdminClient, folder: Path, x: np.ndarray, y: np.ndarray, *, kills: int, seed: int
) -> Kills:
    """Kill `kills` times over as many rounds as that takes."""
    started = time.monotonic()
    calm = Victim(folder / "calm", admin.url, token(admin), x, y)
    admin.publish(bundle, task())
    tormentor = Tormentor(random.Random(seed), kills, calm.finish())
    victim = Victim(folder / "victim", admin.url, token(admin), x, y)
    while tormentor.found.kills < kills:
        task_id = admin.publish(bundle, task())
        tormentor.run(victim, calm.uploaded(), lambda i=task_id: _committed(admin, i))
    tormentor.found.seconds = round(time.monotonic() - started, 1)
    return tormentor.found


def token(admin: AdminClient) -> str:
    """An enrolment token."""
    body = {"population": "default", "max_uses": 1, "valid_seconds": 3600.0}
    return str(admin.request("POST", "/tokens", json=body).json()["enrolment_token"])


def _committed(admin: AdminClient, task_id: str) -> bool:
    time.sleep(0.05)
    return bool(admin.get(f"/tasks/{task_id}")["committed_rounds"])


def main() -> None:
    """Export the small CNN, serve, kill, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from sklearn.datasets import load_digits

    from benchmarks.coordinator_fixture import Server
    from export.classifier import export_classifier
    from export.models import small_cnn

    digits = load_digits()
    x, y = (digits.images[:200] * 15.9).astype(np.uint8)[:, None], digits.target[:200]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_classifier(small_cnn(), input="uint8:1x8x8", classes=10, out=folder / "bundle", augment="crop,flip")
        server = Server(folder / "coordinator")
        server.start()
        try:
            bundle = folder / "bundle"
            found = survive(bundle, server.operator(), folder, x, y, kills=arguments.kills, seed=arguments.seed)
        finally:
            server.stop()
    for key, value in asdict(found).items():
        print(f"{key:28} {value}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(asdict(found), indent=1) + "\n")
    sys.exit(found.identical != found.rounds)


if __name__ == "__main__":
    main()

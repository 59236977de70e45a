"""Drives the product as its users do: by the command line, and by HTTP on 127.0.0.1.

with serving(folder) as coordinator:
    events = run_device(state, data, owner_settings)
    coordinator.get(f"/tasks/{task_id}")
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).parents[2]
VERSION_0_1 = Path(__file__).parent / "version_0_1"
RECORDED = json.loads((VERSION_0_1 / "recorded.json").read_text())  # see make_version_0_1
RECORDED_URL = "http://127.0.0.1:8000"  # of the coordinator that the kept devices enrolled at
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "FEDRELA_IDLE_RETRY_SECONDS": "0.05",
}
START_SECONDS, COMMAND_SECONDS, COMMIT_SECONDS, STOP_SECONDS = 180.0, 300.0, 180.0, 60.0


def command_line(*words: str | Path, folder: Path = ROOT) -> str:
    """Run `fedrela` with these words in `folder`; what it printed. It must succeed."""
    done = attempt(*words, folder=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def attempt(*words: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `fedrela` with these words in `folder`."""
    command = [sys.executable, "-m", "fedrela", *map(str, words)]
    return subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS
    )


@dataclass(frozen=True)
class Coordinator:
    """A running coordinator, as its operator sees it."""

    url: str
    admin_key: str

    def get(self, path: str) -> Any:
        """A JSON answer from below /v1/admin."""
        return self._call("GET", path).json()

    def post(self, path: str, body: Any = None) -> httpx.Response:
        """An operator's command below /v1/admin."""
        return self._call("POST", path, body)

    def wait(self, done: Callable[[], bool], seconds: float = COMMIT_SECONDS) -> None:
        """Wait for something that the coordinator does by itself."""
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "the coordinator did not get there"
            time.sleep(0.02)

    def committed(self, task_id: str) -> dict[int, str]:
        """The SHA-256 of the weights after each committed round."""
        rounds = self.get(f"/tasks/{task_id}/rounds")
        return {entry["round"]: entry["checkpoint_sha256"] for entry in rounds if entry["phase"] == "committed"}

    def _call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        answer = httpx.request(
            method, f"{self.url}/v1/admin{path}", headers=headers, json=body, timeout=60, trust_env=False
        )
        return answer.raise_for_status()


@contextmanager
def serving(folder: Path) -> Iterator[Coordinator]:
    """`fedrela serve --dev` on a data folder until the block ends; its secrets are those that the folder keeps."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "fedrela", "serve", "--dev", "--data", str(folder), "--port", str(port)]
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _ready(url):
                assert process.poll() is None, "the coordinator did not start"
                assert time.monotonic() < deadline, "the coordinator did not become ready"
                time.sleep(0.05)
            yield Coordinator(url, (folder / "admin.key").read_text().strip())
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def run_device(state: Path, data: Path, settings: Path, *words: str) -> list[dict[str, Any]]:
    """One assignment of the device in the folder `state`; its events, and its outcome last."""
    options: list[str | Path] = ["--state", state, "--data", data, "--settings", settings, *words]
    return [json.loads(line) for line in command_line("device", "run", "--once", "--json", *options).splitlines()]


def by_row(name: str, folder: Path) -> Path:
    """A kept device's data, which say that a row is a sample for good.

    Version 0.1 took that for granted, so only then the same samples are held out as it held out.
    """
    data = folder / f"{name}-by-row.npz"
    with np.load(VERSION_0_1 / "data" / f"{name}.npz") as arrays:
        np.savez(data, **arrays, sample_id=np.arange(len(arrays["y"])))
    return data


def take_assignment(
    coordinator: Coordinator, state: Path, data: Path, settings: Path, *words: str
) -> list[dict[str, Any]]:
    """The same, as soon as the coordinator wants this device."""
    events: list[dict[str, Any]] = []

    def uploaded() -> bool:
        events[:] = run_device(state, data, settings, *words)
        return bool(events[-1]["outcome"] == "uploaded")

    coordinator.wait(uploaded)
    return events


def steps(events: list[dict[str, Any]]) -> list[int]:
    """The numbers of the training steps that a client round took."""
    return [event["step"] for event in events if event.get("event") == "step"]


def sent_update_sha256(state: Path) -> str:
    """The SHA-256 of the newest update that a device's log says it sent."""
    sent = [json.loads(line) for line in (state / "log" / "sent.jsonl").read_text().splitlines()]
    return str([entry["sha256"] for entry in sent if entry["path"].endswith("/update")][-1])


def copied_device(recorded: Path, folder: Path, url: str) -> Path:
    """A copy of a device's state that finds its coordinator at `url`."""
    shutil.copytree(recorded, folder)
    identity = folder / "identity.json"
    identity.write_text(identity.read_text().replace(RECORDED_URL, url))
    return folder


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

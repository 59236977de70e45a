"""Every version that was kept works with today's: its devices with today's coordinator, and the reverse."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from fedrela.core.bundle import Bundle
from fedrela.core.errors import InvalidTask
from fedrela.core.privacy import Privacy
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from tests.edge import softmax_bundle
from tests.edge.conftest import some_examples
from tests.edge.live import ADMIN_KEY, SIGNING_KEY, LiveCoordinator, coordinator, device, run_until_finished, small_task
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

VERSIONS = sorted(Path(__file__).parent.glob("*.zip"))
PAIR = Rounds(goal=2, smallest_cohort=2, retry_after_seconds=0.05)


def test_there_is_one() -> None:
    assert VERSIONS


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda path: path.stem)
def version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which a kept version lies."""
    folder = tmp_path_factory.mktemp("frozen")
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of three classes."""
    return softmax_bundle.write(tmp_path_factory.mktemp("bundle"))


def environment(version: Path, **variables: str) -> dict[str, str]:
    """A process in which `fedrela` is the kept one."""
    usual = {name: value for name, value in os.environ.items() if not name.startswith(("FEDRELA", "PYTHON"))}
    return usual | {"PYTHONPATH": str(version), "PYTHONSAFEPATH": "1"} | variables


class FrozenDevice:
    """A kept version's command, with a state folder and data of its own."""

    def __init__(self, version: Path, folder: Path, link: str) -> None:
        self.version, self.folder = version, folder
        examples = some_examples(30, seed=1)
        np.savez(folder / "data.npz", x=examples.x["x"], y=examples.y)
        assert self.run("-c", "import fedrela; print(fedrela.__file__)").startswith(str(version))
        self.verb("enroll", link)

    def run(self, *words: str) -> str:
        """What a Python process of that version prints."""
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=self.folder, env=environment(self.version), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def verb(self, name: str, *words: str) -> str:
        """One of the device's verbs."""
        return self.run("-m", "fedrela", "device", name, *words, "--state", "state")

    def turn(self) -> list[dict[str, Any]]:
        """One assignment, or none."""
        said = self.verb("run", "--once", "--json", "--data", "data.npz")
        return [json.loads(line) for line in said.splitlines()]


@contextmanager
def frozen_coordinator(version: Path, folder: Path) -> Iterator[LiveCoordinator]:
    """A kept version's server, in a process of its own."""
    variables = {
        "FEDRELA_DATA": str(folder / "coordinator"),
        "FEDRELA_ADMIN_KEY": ADMIN_KEY,
        "FEDRELA_SIGNING_KEY": SIGNING_KEY,
        "FEDRELA_DEV": "1",
        "FEDRELA_IDLE_RETRY_SECONDS": "0.05",
    }
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "fedrela.coordinator.app:app", "--port", str(port)]
    with (folder / "said").open("w") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(version, **variables), stdout=said, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not is_ready(f"http://127.0.0.1:{port}/readyz"):
            assert process.poll() is None, (folder / "said").read_text()
            assert time.monotonic() < deadline, "the coordinator did not start"
            time.sleep(0.05)
        yield LiveCoordinator(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()


def is_ready(url: str) -> bool:
    """Whether a server answers that it is."""
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def reached(live: LiveCoordinator, task_id: str, number: int) -> bool:
    """Whether so many rounds are committed."""
    return live.committed(task_id) == number


def task(encoding: Any) -> Task:
    """Two rounds of two devices, the second on new labels."""
    return small_task(
        rounds=2,
        relabel=Relabel(start=2, threshold_percent=30.0, passes=2),
        round=PAIR,
        aggregation=replace(Aggregation(), encoding=encoding),
    )


@pytest.mark.parametrize("encoding", ["int8", "top-k"])
def test_its_device_and_todays_finish_a_task_at_todays_coordinator(
    version: Path, bundle: Bundle, tmp_path: Path, encoding: str
) -> None:
    with coordinator(tmp_path / "coordinator") as live:
        task_id = live.publish(bundle, task(encoding))
        ours = device(live, 1, some_examples(30))
        theirs = FrozenDevice(version, tmp_path, live.link())
        for number in (1, 2):
            assert ours.run_once().kind == "uploaded"
            assert any(line.get("event") == "uploaded" for line in theirs.turn())
            live.wait(partial(reached, live, task_id, number))
        assert [one["updates"] for one in live.rounds(task_id)][:2] == [2, 2]
        theirs.verb("forget", "--yes")
        assert not (tmp_path / "state").exists()


def test_todays_devices_finish_a_task_at_its_coordinator(version: Path, bundle: Bundle, tmp_path: Path) -> None:
    with frozen_coordinator(version, tmp_path) as live:
        secure = replace(task("float32"), round=Rounds(goal=16), privacy=Privacy("peers"))
        with pytest.raises(InvalidTask, match="no secure rounds"):
            live.publish(bundle, secure)
        task_id = live.publish(bundle, task("float32"))
        devices = [device(live, number, some_examples(30, seed=number)) for number in (1, 2)]
        run_until_finished(devices, live, task_id, 2)
        assert [one["updates"] for one in live.rounds(task_id)][:2] == [2, 2]

"""Every lower bound of a device and of a coordinator is installed, and every verb of theirs runs on it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.edge import softmax_bundle
from tests.packaging import lower_bounds
from tests.packaging.lower_bounds import Verbs
from tests.packaging.user_folder import is_ready, wait_until
from tests.patience import PATIENCE_SECONDS
from tests.ports import free_port

EXTRAS = ("edge", "coordinator")
TASK = 'name = "small"\nrounds = 3\n[local]\nbatch_size = 20\nhyperparameters = { lr = 0.05, momentum = 0.5 }\n'
TASK += '[relabel]\nstart = 2\n[round]\ngoal = 1\n[privacy]\nsecure = "none"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle, a task and data."""
    softmax_bundle.write(tmp_path / "bundle")
    (tmp_path / "task.toml").write_text(TASK)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "small.npz", x=rng.integers(0, 255, (60, 1, 4, 4), dtype=np.uint8), y=np.repeat(range(3), 20))
    return tmp_path


@dataclass
class Serving:
    """`fedrela serve` on the oldest packages."""

    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self.process.terminate()
        self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def serving(oldest_packages: Path, folder: Path) -> Iterator[Serving]:
    """Ended with the test."""
    port = free_port()
    serve = [str(oldest_packages), "-m", "fedrela", "serve", "--dev", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        environment = lower_bounds.environment(folder)
        server = subprocess.Popen(serve, env=environment, cwd=folder, stdout=log, stderr=log)
    wait_until(lambda: is_ready(f"http://127.0.0.1:{port}"), folder, server)
    serving = Serving(f"http://127.0.0.1:{port}", server)
    yield serving
    serving.stop()


@pytest.fixture
def url(serving: Serving) -> str:
    """Where it listens."""
    return serving.url


@pytest.fixture
def verbs(oldest_packages: Path, folder: Path) -> Iterator[Verbs]:
    """What runs verbs on the oldest packages."""
    running = Verbs(oldest_packages, folder)
    yield running
    running.close()


def test_what_is_installed_is_the_lower_bounds(oldest_packages: Path) -> None:
    assert lower_bounds.installed(oldest_packages, *EXTRAS) == lower_bounds.requirements(*EXTRAS)


def test_every_verb_says_what_it_is_for(oldest_packages: Path, folder: Path, verbs: Verbs) -> None:
    assert "Usage: fedrela" in verbs("--help")
    for words in lower_bounds.verbs(oldest_packages, folder, *EXTRAS):
        assert f"Usage: fedrela {' '.join(words)}" in verbs(*words, "--help")


def test_every_verb_does_what_it_is_for(
    oldest_packages: Path, folder: Path, serving: Serving, url: str, verbs: Verbs
) -> None:
    task = verbs.json("publish", "bundle", "task.toml", "--url", url)["task_id"]
    at = ("--url", url)
    link = verbs.json("token", "create", "--uses", 3, *at)["link"]
    verbs("device", "check", "--data", "small.npz", "--bundle", "bundle")
    verbs("device", "enroll", link)
    assert "edge" in verbs("doctor")
    verbs("task", "pause", task, *at)
    verbs("task", "resume", task, *at)
    verbs("device", "run", "--data", "small.npz", "--once")
    assert verbs.json("device", "status")["enrolled"]
    assert "update" in verbs("device", "show-upload")
    verbs("device", "install-service", "--data", "small.npz", "--print")
    assert [item["updates"] for item in verbs.json("task", "show", task, *at)["history"]][:1] == [1]
    verbs("task", "rollback", task, "--to", 0, *at)
    verbs("task", "download", task, "model.safetensors", *at)
    verbs("task", "export", task, "model.safetensors", *at)
    verbs("task", "cancel", task, *at)
    verbs("task", "delete", task, *at)
    verbs("task", "create", "bundle", "task.toml", *at)
    verbs("task", "list", *at)
    verbs("task", "collect", "--dry-run", *at)
    verbs("device", "forget", "--yes")
    verbs("device", "enrol", link)
    (device,) = [record for record in verbs.json("device", "list", *at) if record["revoked_at"] is None]
    verbs("device", "revoke", device["device_id"], *at)
    (token,) = verbs.json("token", "list", *at)
    verbs("token", "revoke", token["token_id"], *at)
    verbs("coordinator", "backup", "copy", "--dev")
    serving.stop()
    verbs("coordinator", "new-epoch", "--dev")
    verbs("key", "rotate", "--dev")
    verbs("fleet", "key", "fleet.key")
    for verb in ("verify", "inspect", "audit", "seal"):
        verbs(verb, "bundle")
    left_out = [words for words in lower_bounds.verbs(oldest_packages, folder, *EXTRAS) if not verbs.have_run(words)]
    assert left_out == [["serve"]], "which the others were served by"

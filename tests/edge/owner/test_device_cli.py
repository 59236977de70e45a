"""`fedrela device` as a person types it, in processes of its own, against a real coordinator."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fedrela.core.bundle import Bundle
from fedrela.core.errors import FedRelaError
from fedrela.core.task import LocalTraining, Relabel, Rounds
from fedrela.edge.client import Outcome
from fedrela.edge.owner.cli import app
from fedrela.edge.owner.disclosure import describe
from fedrela.edge.owner.progress import Reporter
from fedrela.edge.owner.settings import Event
from fedrela.edge.sources import open_source
from fedrela.edge.storage.state import Identity, save_identity
from fedrela.edge.storage.store import FolderStore
from tests.edge.conftest import some_examples
from tests.edge.live import LiveCoordinator, coordinator, small_task
from tests.patience import PATIENCE_SECONDS

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[3])}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCoordinator]:
    with coordinator(tmp_path_factory.mktemp("coordinator")) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDRELA_DEVICE_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    examples = some_examples(40)
    np.savez(tmp_path / "data.npz", x=examples.x["x"], y=examples.y)
    return tmp_path


def fedrela(*words: str) -> str:
    """Run a verb in this process; what it prints. Our errors come through."""
    result = CliRunner().invoke(app, ["device", *words])
    if isinstance(result.exception, FedRelaError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_life_of_a_device(live: LiveCoordinator, home: Path, small_bundle: Bundle) -> None:
    task_id = live.publish(
        small_bundle, small_task(rounds=1, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1))
    )
    link = live.link()
    assert "not enrolled" in fails("run", "--data", "data.npz", "--once")
    enrolled = json.loads(fedrela("enroll", link, "--json"))
    assert enrolled["coordinator"] == live.url
    assert "already enrolled" in fails("enroll", link)
    assert "--state" in fails("enroll", link)
    again = fedrela("enroll", live.link(), "--state", "a second")
    assert "next: fedrela device run --state 'a second' --data FOLDER" in again
    events = [json.loads(line) for line in fedrela("run", "--data", "data.npz", "--once", "--json").splitlines()]
    assert events[-1]["outcome"] == "uploaded"
    live.wait(lambda: live.committed(task_id) == 1)
    status = json.loads(fedrela("status", "--json"))
    assert (status["enrolled"], status["last"]["outcome"], status["turn"]) == (True, "uploaded", None)
    assert status["assignment"] is None
    assert "uploaded" in fedrela("status")
    shown = fedrela("show-upload", "--values")
    body = FolderStore(home / "state").get("last/update")
    assert body is not None
    assert f"{len(body)} bytes" in shown
    numbers = describe(FolderStore(home / "state"), values=True)["messages"]["update"]["tensors"]
    assert all(f"{value:.9g}" in shown for tensor in numbers for value in tensor["values"])
    left = fedrela("forget", "--yes")
    assert "is deleted" in left
    assert left.endswith(f"\nthe coordinator at {live.url} has forgotten this device\n")
    assert not (home / "state").exists()
    assert (home / "data.npz").exists()
    assert enrolled["device_id"] not in [record["device_id"] for record in live.admin.get("/devices")]


def fails(*words: str) -> str:
    with pytest.raises(FedRelaError) as caught:
        fedrela(*words)
    return str(caught.value).replace("has not enrolled", "is not enrolled")


def test_errors_name_the_remedy(home: Path) -> None:
    assert "paste the whole link" in fails("enroll", "http://example.org/nothing")
    assert "not enrolled" in fails("run", "--data", "photos", "--runtime", "tensorflow")
    assert "fedrela device enroll <link>" in fails("install-service", "--data", "data.npz")
    assert "nothing at" in fails("forget", "--yes")
    identity = Identity("http://127.0.0.1:1", "d-1", "token", "key", "default", "22" * 32, "33" * 32)
    save_identity(FolderStore(home / "state"), identity)
    assert "there is no photos" in fails("run", "--data", "photos")
    assert "choose one of onnx, executorch" in fails("run", "--data", "data.npz", "--runtime", "tensorflow")
    (home / "s.toml").write_text("checkpoint_step = 3")
    assert "unknown key 'checkpoint_step'" in fails("run", "--data", "data.npz", "--settings", "s.toml")
    (home / "s.toml").write_text("[eligibility")
    assert "not TOML" in fails("run", "--data", "data.npz", "--settings", "s.toml")


def test_forget_says_how_to_leave_a_coordinator_that_is_gone(home: Path) -> None:
    with coordinator(home / "c") as brief:
        fedrela("enroll", brief.link())
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    from fedrela.edge.network.api import Retry
    from fedrela.edge.owner import cli

    original = cli._api

    def impatient(url):
        api = original(url)
        api.retry = Retry(attempts=1)
        return api

    cli._api = impatient
    try:
        assert "--offline" in fails("forget", "--yes")
        assert (home / "state").exists()
        said = fedrela("forget", "--yes", "--offline")
    finally:
        cli._api = original
    assert not (home / "state").exists()
    assert "the coordinator was not told (the coordinator at " in said
    assert "has forgotten" not in said


def test_sigterm_ends_a_nice_run_cleanly_and_keeps_the_assignment(
    live: LiveCoordinator, home: Path, small_bundle: Bundle
) -> None:
    local = LocalTraining(epochs=10_000, batch_size=1)
    task_id = live.publish(
        small_bundle,
        small_task(rounds=1, local=local, relabel=Relabel(start=1), round=Rounds(goal=1, smallest_cohort=1)),
    )
    fedrela("enroll", live.link())
    command = [sys.executable, "-m", "fedrela", "device", "run", "--json", "--data", "data.npz", "--state", "state"]
    command += ["--nice", "3"]
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        process = subprocess.Popen(command, cwd=home, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if '"step"' in line:
                break
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(os.nice(0) + 3, 19)
        process.send_signal(number)
        rest = process.communicate(timeout=PATIENCE_SECONDS)[0]
        assert process.returncode == code
        assert '"stopped"' in rest
    store = FolderStore(home / "state")
    assert store.get("assignment/snapshot") is not None
    live.admin.request("POST", f"/tasks/{task_id}/cancel")


def test_the_verb_of_version_0_1_still_enrolls(live: LiveCoordinator, home: Path) -> None:
    enrolled = json.loads(fedrela("enrol", live.link(), "--json"))
    assert enrolled["coordinator"] == live.url
    listed = fedrela("--help").split()
    assert "enroll" in listed
    assert "enrol" not in listed


def test_two_runs_on_one_state_are_refused(live: LiveCoordinator, home: Path) -> None:
    fedrela("enroll", live.link())
    with FolderStore(home / "state").lock():
        assert "another device is running" in fails("run", "--data", "data.npz", "--once")


def test_the_service_is_written_where_systemd_looks(live: LiveCoordinator, home: Path) -> None:
    fedrela("enroll", live.link())
    text = fedrela("install-service", "--data", "data.npz", "--print")
    assert f'"--data" "{home}/data.npz"' in text
    assert f'ReadWritePaths="{home}/state"' in text
    assert not (home / "config").exists()
    assert "enable-linger" in fedrela("install-service", "--data", "data.npz")
    assert (home / "config/systemd/user/fedrela-device.service").read_text() == text.rstrip("\n") + "\n"


def test_progress_lines_say_nothing_of_labels(live: LiveCoordinator, home: Path, small_bundle: Bundle) -> None:
    task = small_task(
        rounds=1, relabel=Relabel(start=1, threshold_percent=50.0), round=Rounds(goal=1, smallest_cohort=1)
    )
    task_id = live.publish(small_bundle, task)
    fedrela("enroll", live.link())
    deadline = time.monotonic() + PATIENCE_SECONDS
    printed = ""
    while live.committed(task_id) < 1:
        assert time.monotonic() < deadline
        printed += fedrela("run", "--data", "data.npz", "--once", "--json")
    relabeled = [json.loads(line) for line in printed.splitlines() if '"relabeled"' in line]
    assert [event["detail"] for event in relabeled] == [""]


def test_a_terminal_has_one_live_line(tmp_path: Path) -> None:
    out = io.StringIO()
    reporter = Reporter(FolderStore(tmp_path), as_json=False, live=True, out=out)
    reporter.event(Event("assigned", "t", 7))
    for step in (1, 2):
        reporter.event(Event("step", "t", 7, step=step, steps=9, loss=0.25))
    reporter.outcome(Outcome("uploaded", round=7))
    reporter.outcome(Outcome("waiting", "round-full", 3.0))
    shown = out.getvalue().replace("\x1b[K", "").split("\r")
    assert shown[1:] == [
        "round 7  assigned\n",
        "round 7  step 1/9  loss 0.2500",
        "round 7  step 2/9  loss 0.2500",
        "waiting 3 s: the round is full",
    ]


def test_a_terminal_alone_shows_how_many_samples_there_are_of_each_class(tmp_path: Path, small_bundle: Bundle) -> None:
    for live, expected in ((True, ["data: 5 samples: 0 1, 2 4"]), (False, ["data: 5 samples"])):
        out, examples = io.StringIO(), replace(some_examples(5), y=np.array([2, 0, 2, 2, 2]))
        reporter = Reporter(FolderStore(tmp_path / "state"), as_json=False, live=live, out=out)
        np.savez(tmp_path / "five.npz", x=examples.x["x"], y=examples.y)
        source = reporter.reading(open_source(str(tmp_path / "five.npz")))
        for _ in range(2):  # the same samples again say nothing new
            assert len(source(small_bundle.manifest)) == 5
        assert out.getvalue().replace("\x1b[K", "").replace("\r", "").splitlines() == expected


def test_a_log_has_a_line_per_event_and_no_step(tmp_path: Path) -> None:
    out = io.StringIO()
    reporter = Reporter(FolderStore(tmp_path), as_json=False, live=False, out=out)
    reporter.event(Event("step", "t", 7, step=1, steps=9, loss=0.25))
    reporter.event(Event("paused", "t", 7, detail="the CPU is throttled"))
    for round_number in (7, 8):  # the same files are left out in every round
        reporter.event(Event("data", "t", round_number, detail="not trained on: 2 hidden"))
    for _ in range(3):
        reporter.outcome(Outcome("waiting", "round-full", 3.0))
    reporter.outcome(Outcome("stopped"))
    assert out.getvalue().splitlines() == [
        "round 7  paused: the CPU is throttled",
        "data: not trained on: 2 hidden",
        "waiting: the round is full",
        "stopped; the assignment is kept and goes on at the next start",
    ]

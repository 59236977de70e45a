"""Made every file below `version_0_1` but its settings, with version 0.1.0. It isn't meant to run on later versions.

    version_0_1/bundle          `fedrela export` of `linear_model`, for ONNX Runtime and ExecuTorch
    version_0_1/coordinator     a data folder in the middle of round 3 of 4, with a paused second task
    version_0_1/devices/idle    has sent its update of round 3
    version_0_1/devices/halfway stopped after 5 of the 8 steps of round 3
    version_0_1/data            the devices' examples, a test set, and what the emulated fleet holds
    version_0_1/run             `fedrela emulate settings/scenario.toml`
    version_0_1/recorded.json   ids, the values of the settings, and where version 0.1.0 gets to from here

Leases and the enrollment token last about a century, so that the files can be opened at any time.

    $ python -m tests.migration.make_version_0_1
"""

import dataclasses
import json
import shutil
import sqlite3
import tempfile
from pathlib import Path
from threading import Event as StopEvent
from typing import Any

import httpx
import numpy as np

from fedrela.core import task as task_file
from fedrela.edge.client import DeviceClient, enroll
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.owner import settings as owner_settings
from fedrela.edge.owner.settings import Event
from fedrela.edge.sources import open_source
from fedrela.edge.storage.store import FolderStore
from fedrela.emulator import scenario as scenario_file
from tests.migration.linear_model import CLASSES, FEATURES
from tests.migration.product import (
    RECORDED_URL,
    VERSION_0_1,
    Coordinator,
    command_line,
    copied_device,
    run_device,
    sent_update_sha256,
    serving,
    steps,
    take_assignment,
)

SETTINGS, DATA, BUNDLE = VERSION_0_1 / "settings", VERSION_0_1 / "data", VERSION_0_1 / "bundle"
OWNER = SETTINGS / "owner.toml"
EXAMPLES = {"idle": 56, "halfway": 64}
STEPS_BEFORE_THE_STOP = 5
A_CENTURY_ON = 5e9  # Unix seconds


def main() -> None:
    """Make all of it anew."""
    for name in ("bundle", "coordinator", "devices", "data", "run"):
        shutil.rmtree(VERSION_0_1 / name, ignore_errors=True)
    make_data()
    model = str(Path(__file__).with_name("linear_model.py"))
    words = ["--input", f"float32:{FEATURES}", "--classes", str(CLASSES), "--class-names", "ant,bee,cat"]
    words += ["--loss", "tests.migration.linear_model:hinge", "--runtime", "both", "--max-batch", "16"]
    command_line("export", f"{model}:build", *words, "--name", "linear", "--out", BUNDLE)
    recorded = make_federation(VERSION_0_1 / "coordinator", VERSION_0_1 / "devices")
    recorded["afterwards"] = go_on(recorded)
    recorded["settings"] = settings_values()
    run = ("--out", VERSION_0_1 / "run", "--label", "ten", "--in-process", "--quiet")
    command_line("emulate", "scenario.toml", "--bundle", BUNDLE, *run, folder=SETTINGS)
    (VERSION_0_1 / "recorded.json").write_text(json.dumps(recorded, indent=1) + "\n")


def make_data() -> None:
    """Long-tailed examples around one center per class, in steps of a quarter from -2 to 2."""
    DATA.mkdir()
    rng = np.random.default_rng(20)
    centers = rng.integers(-3, 4, (CLASSES, FEATURES)) / 4

    def draw(count: int, shares: tuple[float, ...]) -> dict[str, Any]:
        y = np.sort(rng.choice(CLASSES, count, p=shares))
        x = centers[y] + rng.normal(0, 0.6, (count, FEATURES))
        return {"x": np.clip(np.round(4 * x) / 4, -2, 2).astype(np.float32), "y": y}

    for name, count in EXAMPLES.items():
        np.savez_compressed(DATA / f"{name}.npz", **draw(count, (0.7, 0.2, 0.1)))
    test = draw(60, (1 / 3, 1 / 3, 1 / 3))
    np.savez_compressed(DATA / "test.npz", **test)
    fleet = draw(240, (0.4, 0.3, 0.3))
    np.savez_compressed(DATA / "fleet.npz", **fleet, x_test=test["x"], y_test=test["y"])


def make_federation(folder: Path, devices: Path) -> dict[str, Any]:
    """The coordinator's and the devices' folders; the ids of what they hold."""
    folder.mkdir()
    (folder / "admin.key").write_text("a1" * 32 + "\n")
    (folder / "signing.key").write_text("5a" * 32 + "\n")
    with serving(folder) as coordinator:
        ids = {"main": publish(coordinator, "main"), "second": publish(coordinator, "second")}
        coordinator.post(f"/tasks/{ids['second']}/pause")
        token = {"population": "default", "max_uses": 5, "valid_seconds": 3e8}
        link = coordinator.post("/tokens", token).json()["enrolment_token"]
        for number, name in enumerate(EXAMPLES, start=1):
            api = CoordinatorApi(httpx.Client(trust_env=False), coordinator.url)
            key = bytes([number]) * 32
            enroll(api, FolderStore(devices / name), link, secret=key, private_key=key.hex())
        for number in (1, 2):
            for name in EXAMPLES:
                take_assignment(coordinator, devices / name, DATA / f"{name}.npz", OWNER)
            wait_until_committed(coordinator, ids["main"], number)
        access = ("--url", coordinator.url, "--admin-key", coordinator.admin_key)
        command_line("evaluate", "main", "--data", DATA / "test.npz", "--many", "ant", "--few", "cat", *access)
        take_assignment(coordinator, devices / "idle", DATA / "idle.npz", OWNER)
        stop_halfway(coordinator, devices / "halfway")
        committed = coordinator.committed(ids["main"])
        rounds = coordinator.get(f"/tasks/{ids['main']}/rounds")
    settle(folder, devices, coordinator.url)
    accuracies = [entry["accuracy"]["overall"] for entry in rounds if entry["accuracy"]]
    return {
        "tasks": ids,
        "enrollment_token": link,
        "committed": committed,
        "accuracies": accuracies,
        "evaluated_examples": [entry["evaluation"] and entry["evaluation"]["examples"] for entry in rounds],
    }


def publish(coordinator: Coordinator, name: str) -> str:
    """Begin the task of a file; its id."""
    key = ("--url", coordinator.url, "--admin-key", coordinator.admin_key, "--json")
    return str(json.loads(command_line("publish", BUNDLE, SETTINGS / f"{name}.toml", *key))["task_id"])


def stop_halfway(coordinator: Coordinator, state: Path) -> None:
    """Let the device take an assignment and stop it after some steps."""
    stop = StopEvent()

    def on_event(event: Event) -> None:
        if event.kind == "step" and event.step == STEPS_BEFORE_THE_STOP:
            stop.set()

    api = CoordinatorApi(httpx.Client(trust_env=False), coordinator.url)
    source, settings = open_source(str(DATA / "halfway.npz")), owner_settings.load(OWNER)
    client = DeviceClient(api, FolderStore(state), source, settings=settings, stop=stop, on_event=on_event)
    assert client.run_once().kind == "stopped"


def settle(folder: Path, devices: Path, url: str) -> None:
    """One database file, a token that lasts, one address for all; no logs of this machine."""
    with sqlite3.connect(folder / "coordinator.sqlite") as database:
        database.execute("UPDATE tokens SET expires_at = ?", (A_CENTURY_ON,))
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.execute("VACUUM")
    database.close()
    (folder.parent / f"{folder.name}.log").unlink()
    for name in EXAMPLES:
        identity = devices / name / "identity.json"
        identity.write_text(identity.read_text().replace(url, RECORDED_URL))


def go_on(recorded: dict[str, Any]) -> dict[str, Any]:
    """Finish both tasks on copies of the folders: the hashes that every later version must reach."""
    main_task, second = recorded["tasks"]["main"], recorded["tasks"]["second"]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copytree(VERSION_0_1 / "coordinator", folder / "coordinator")
        with serving(folder / "coordinator") as coordinator:
            states = {
                name: copied_device(VERSION_0_1 / "devices" / name, folder / name, coordinator.url) for name in EXAMPLES
            }
            events = run_device(states["halfway"], DATA / "halfway.npz", OWNER)
            halfway_update = sent_update_sha256(states["halfway"])
            coordinator.wait(lambda: 3 in coordinator.committed(main_task))
            for name in EXAMPLES:
                take_assignment(coordinator, states[name], DATA / f"{name}.npz", OWNER)
            coordinator.wait(lambda: 4 in coordinator.committed(main_task))
            coordinator.post(f"/tasks/{second}/resume")
            take_assignment(coordinator, states["idle"], DATA / "idle.npz", OWNER)
            coordinator.wait(lambda: 1 in coordinator.committed(second))
            return {
                "halfway_steps": steps(events),
                "halfway_update_sha256": halfway_update,
                "main": coordinator.committed(main_task),
                "second": coordinator.committed(second),
            }


def wait_until_committed(coordinator: Coordinator, task_id: str, number: int) -> None:
    """Until the round is in the model."""
    coordinator.wait(lambda: number in coordinator.committed(task_id))


def settings_values() -> dict[str, Any]:
    """What each settings file says, as JSON."""
    loaded: dict[str, Any] = {
        "task.toml": task_file.from_toml((SETTINGS / "task.toml").read_text()),
        "device.toml": owner_settings.load(SETTINGS / "device.toml"),
        "scenario.toml": scenario_file.load(str(SETTINGS / "scenario.toml"))[0],
    }
    return {name: dataclasses.asdict(value) for name, value in loaded.items()}


if __name__ == "__main__":
    main()

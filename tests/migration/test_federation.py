"""A coordinator and two devices of version 0.1 go on from the middle of a round to where version 0.1 gets."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedrela.core import signing
from fedrela.core.protocol.links import Link
from tests.migration.product import (
    RECORDED,
    VERSION_0_1,
    Coordinator,
    by_row,
    command_line,
    copied_device,
    run_device,
    sent_update_sha256,
    serving,
    steps,
    take_assignment,
)

DATA, OWNER = VERSION_0_1 / "data", VERSION_0_1 / "settings" / "owner.toml"
MAIN, SECOND = RECORDED["tasks"]["main"], RECORDED["tasks"]["second"]
AFTERWARDS = RECORDED["afterwards"]


@dataclass(frozen=True)
class Federation:
    """Copies of the folders, in use."""

    coordinator: Coordinator
    idle: Path
    halfway: Path

    def take(self, state: Path) -> list[dict[str, Any]]:
        """One assignment of a device, as soon as it is wanted."""
        return take_assignment(self.coordinator, state, by_row(state.name, state.parent), OWNER)


@pytest.fixture
def federation(tmp_path: Path) -> Iterator[Federation]:
    folder = tmp_path / "coordinator"
    shutil.copytree(VERSION_0_1 / "coordinator", folder)
    with serving(folder) as coordinator:
        devices = VERSION_0_1 / "devices"
        idle, halfway = (
            copied_device(devices / name, tmp_path / name, coordinator.url) for name in ("idle", "halfway")
        )
        yield Federation(coordinator, idle, halfway)


def numbered(checkpoints: dict[str, str]) -> dict[int, str]:
    """Recorded checkpoints by round."""
    return {int(number): sha256 for number, sha256 in checkpoints.items()}


def test_what_the_coordinator_kept_is_there(federation: Federation) -> None:
    coordinator = federation.coordinator
    tasks = {task["task_id"]: task for task in coordinator.get("/tasks")}
    assert set(tasks) == {MAIN, SECOND}
    assert (tasks[MAIN]["status"], tasks[MAIN]["round"], tasks[MAIN]["phase"]) == ("running", 3, "collecting")
    assert (tasks[MAIN]["open"], tasks[MAIN]["reported"]) == (1, 1)
    assert (tasks[SECOND]["status"], tasks[SECOND]["round"]) == ("paused", 1)
    assert coordinator.committed(MAIN) == numbered(RECORDED["committed"])
    rounds = coordinator.get(f"/tasks/{MAIN}/rounds")
    assert [entry["accuracy"]["overall"] for entry in rounds if entry["accuracy"]] == RECORDED["accuracies"]
    assert [entry["evaluation"]["examples"] for entry in rounds] == RECORDED["evaluated_examples"]
    assert len(coordinator.get("/devices")) == 2
    assert coordinator.get(f"/tasks/{MAIN}")["privacy"].startswith("plain: ")  # whatever new tasks are


def test_the_enrollment_token_lets_a_new_device_in(federation: Federation, tmp_path: Path) -> None:
    # Links have named the coordinator's key since; the token in it is the one of that time.
    key = signing.fingerprint(signing.public_key((VERSION_0_1 / "coordinator" / "signing.key").read_text().strip()))
    link = Link(federation.coordinator.url, RECORDED["enrollment_token"], key)
    command_line("device", "enrol", link.text(), "--state", tmp_path / "new")
    assert len(federation.coordinator.get("/devices")) == 3
    (token,) = federation.coordinator.get("/tokens")
    assert (token["uses"], token["max_uses"]) == (3, 5)


def test_a_device_knows_its_assignment(federation: Federation) -> None:
    shown = json.loads(command_line("device", "status", "--json", "--state", federation.halfway))
    assert shown["enrolled"] is True
    assert (shown["turn"]["task_id"], shown["turn"]["round"], shown["turn"]["trained"]) == (MAIN, 3, False)


def test_both_tasks_end_with_the_weights_that_version_0_1_reaches(federation: Federation) -> None:
    coordinator, idle, halfway = federation.coordinator, federation.idle, federation.halfway

    events = run_device(halfway, DATA / "halfway.npz", OWNER)
    assert events[-1]["outcome"] == "uploaded"
    assert steps(events) == AFTERWARDS["halfway_steps"], "the kept training state was not gone on from"
    assert "relabeled" not in [event.get("event") for event in events], "the overlay was lost"
    assert sent_update_sha256(halfway) == AFTERWARDS["halfway_update_sha256"]
    coordinator.wait(lambda: 3 in coordinator.committed(MAIN))
    assert coordinator.committed(MAIN)[3] == AFTERWARDS["main"]["3"]

    for state in (idle, halfway):
        assert "relabeled" in [event.get("event") for event in federation.take(state)]
    coordinator.wait(lambda: coordinator.get(f"/tasks/{MAIN}")["status"] == "finished")
    assert coordinator.committed(MAIN) == numbered(AFTERWARDS["main"])

    coordinator.post(f"/tasks/{SECOND}/resume")
    federation.take(idle)
    coordinator.wait(lambda: coordinator.get(f"/tasks/{SECOND}")["status"] == "finished")
    assert coordinator.committed(SECOND) == numbered(AFTERWARDS["second"])

"""A bundle that version 0.1 exported is accepted, and both runtimes train on it as they did."""

import json
import shutil
from pathlib import Path

import pytest

from tests.migration.product import RECORDED, VERSION_0_1, attempt, by_row, command_line, serving, take_assignment

BUNDLE, SETTINGS = VERSION_0_1 / "bundle", VERSION_0_1 / "settings"


def test_its_golden_steps_pass_on_both_runtimes() -> None:
    verified = json.loads(command_line("verify", BUNDLE, "--json"))
    assert set(verified["largest_relative_error"]) == {"onnx", "executorch"}


def test_it_can_be_inspected() -> None:
    described = json.loads(command_line("inspect", BUNDLE, "--json"))
    assert (described["name"], described["classes"]) == ("linear", 3)


@pytest.mark.parametrize("runtime", ["onnx", "executorch"])
def test_a_new_device_trains_on_it(tmp_path: Path, runtime: str) -> None:
    """With the secret, data and task of the kept idle device a new one reaches the weights that it reaches."""
    (tmp_path / "coordinator").mkdir()
    signed = tmp_path / "bundle"
    shutil.copytree(BUNDLE, signed)
    command_line("seal", signed, "--publisher-key", publisher_key(tmp_path))
    with serving(tmp_path / "coordinator") as coordinator:
        key = ("--url", coordinator.url, "--admin-key", coordinator.admin_key, "--json")
        task_id = json.loads(command_line("publish", signed, SETTINGS / "second.toml", *key))["task_id"]
        link = json.loads(command_line("token", "create", *key))["link"]
        state = tmp_path / "state"
        command_line("device", "enrol", link, "--state", state)
        give_secret(state, VERSION_0_1 / "devices" / "idle")
        data, owner = by_row("idle", tmp_path), SETTINGS / "owner.toml"
        take_assignment(coordinator, state, data, owner, "--runtime", runtime)
        coordinator.wait(lambda: 1 in coordinator.committed(task_id))
        assert coordinator.committed(task_id)[1] == RECORDED["afterwards"]["second"]["1"]


def test_unsigned_it_is_refused_with_the_remedy(tmp_path: Path) -> None:
    refused = attempt("publish", BUNDLE, SETTINGS / "second.toml", "--url", "http://127.0.0.1:9", "--admin-key", "k")
    assert refused.returncode == 1
    assert f"fedrela seal {BUNDLE}" in refused.stderr


def publisher_key(folder: Path) -> Path:
    """A file with a publisher's key."""
    (folder / "publisher.key").write_text("70" * 32)
    return folder / "publisher.key"


def give_secret(state: Path, source: Path) -> None:
    """Let a device draw the random numbers that a kept one draws."""
    own, other = (json.loads((folder / "identity.json").read_text()) for folder in (state, source))
    (state / "identity.json").write_text(json.dumps(own | {"secret": other["secret"]}))

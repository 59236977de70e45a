"""What an owner reads when a device is forgotten: a service that would start it in vain, and how it goes."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedrela.edge.owner import leaving, systemd
from fedrela.edge.owner.cli import app
from fedrela.edge.storage import state as device_state
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.store import FolderStore


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where units are written: the user's and the system's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "my config"))
    monkeypatch.setattr(systemd, "SYSTEM_UNITS", tmp_path / "system")
    (tmp_path / "system").mkdir()
    return tmp_path


def device(folder: Path) -> Path:
    """A state folder that has begun to enroll: there is no coordinator to be told."""
    device_state.save_identity(FolderStore(folder), Identity("", "", "", "", "", "22" * 32, "33" * 32))
    return folder


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["device", *words])
    assert result.exit_code == 0, result.output
    return result.output


def install(state: Path, *words: str) -> None:
    (state.parent / "data.py").write_text("def load(manifest): ...\n")
    data = f"{state.parent}/data.py:load"
    run("install-service", "--data", data, "--state", str(state), "--unchecked", *words)


def test_a_service_that_is_left_is_named_with_the_two_commands_that_take_it_away(units: Path) -> None:
    state = device(units / "state")
    install(state)
    unit = units / "my config/systemd/user/fedrela-device.service"
    said = run("forget", "--yes", "--state", str(state))
    assert f"the service {unit} is still there" in said
    assert said.splitlines()[-2:] == [
        "  systemctl --user disable --now fedrela-device",
        f"  rm '{unit}' && systemctl --user daemon-reload",
    ]
    assert "coordinator" not in said, "there was none"


def test_a_unit_of_the_system_is_taken_away_by_root(units: Path) -> None:
    state = device(units / "state")
    unit = units / "system/fedrela-device.service"
    unit.write_text(f"BindPaths={systemd.quoted(str(state))}\n")
    assert f"  sudo rm {unit} && sudo systemctl daemon-reload" in leaving.services(state)


def test_the_service_of_another_state_folder_is_not_named(units: Path) -> None:
    install(device(units / "state"))
    assert leaving.services(units / "another") == ""
    assert leaving.services(units / "stat") == ""
    assert leaving.services(units / "state") != ""

"""A service is given what the shell had, and its unit is tried before it is written."""

import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedrela.core import signing
from fedrela.core.errors import FedRelaError, InvalidInput
from fedrela.edge.owner import carried, unit_trial
from fedrela.edge.owner.cli import app
from fedrela.edge.owner.systemd import NAME
from fedrela.edge.storage import state
from fedrela.edge.storage.state import Identity
from fedrela.edge.storage.store import FolderStore
from tests.edge.live import LiveCoordinator

MODULE = "def load(manifest):\n    raise SystemExit('nobody asks for examples here')\n"
SHELL = {
    "HTTPS_PROXY": "http://me:secret@proxy:3128",
    "no_proxy": "localhost",
    "TZ": "Europe/Zurich",
    "FEDRELA_UNRELATED": "x",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a state folder, a module and certificates in it; the shell is in its folder `work`."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "own_data_of_mine.py").write_text(MODULE)
    (tmp_path / "own.pem").write_text("certificates")
    monkeypatch.chdir(work)
    for name in carried.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    key = signing.public_key("11" * 32)
    identity = Identity("http://127.0.0.1:1", "d-1", "token", key, "default", "22" * 32, "33" * 32)
    state.save_identity(FolderStore(tmp_path / "state"), identity)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own_data_of_mine", raising=False)
    return tmp_path


def install(home: Path, *words: str, data: str = "own_data_of_mine:load") -> str:
    """Run the verb; what it prints."""
    command = ["device", "install-service", "--data", data, "--state", str(home / "state"), *words]
    result = CliRunner().invoke(app, command)
    if isinstance(result.exception, FedRelaError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_unit_has_the_shells_variables_and_the_runs_options(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SSL_CERT_FILE", "../own.pem")
    monkeypatch.setenv("PYTHONPATH", "../work:")
    lines = install(home, "--print", "--threads", "3", "--runtime", "executorch", "--runtime", "onnx").splitlines()
    assert {
        'Environment="HTTPS_PROXY=http://me:secret@proxy:3128"',
        'Environment="no_proxy=localhost"',
        'Environment="TZ=Europe/Zurich"',
        f'Environment="SSL_CERT_FILE={home}/work/../own.pem"',
        f'BindReadOnlyPaths="{home}/own.pem"',
        f"WorkingDirectory={home}/work",
        f'BindReadOnlyPaths="{home}/work"',
    } <= set(lines)
    assert not [line for line in lines if "UNRELATED" in line]
    (python_path,) = (line for line in lines if line.startswith('Environment="PYTHONPATH'))
    assert f"{home}/work/../work" in python_path
    (start,) = (line for line in lines if line.startswith("ExecStart="))
    assert start.endswith('"--threads" "3" "--runtime" "executorch" "--runtime" "onnx"')


def test_of_a_home_in_which_the_module_lies_only_the_module_is_seen(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "own_data_of_mine.py").write_text(MODULE)
    monkeypatch.chdir(home)
    lines = install(home, "--print").splitlines()
    assert f"WorkingDirectory={home}" in lines
    assert f'BindReadOnlyPaths="{home}/own_data_of_mine.py"' in lines
    assert f'BindReadOnlyPaths="{home}"' not in lines


def test_a_function_in_a_file_is_named_by_its_whole_path(home: Path) -> None:
    text = install(home, "--print", data="own_data_of_mine.py:load")
    assert f'"--data" "{home}/work/own_data_of_mine.py:load"' in text
    assert f'BindReadOnlyPaths="{home}/work"' in text


@pytest.fixture
def booted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that systemd runs, in a shell that reaches no manager."""
    monkeypatch.setattr(unit_trial, "BOOTED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("booted")
def test_what_is_tried_is_said_before_it_ends(home: Path) -> None:
    command = ["device", "install-service", "--data", "own_data_of_mine:load", "--state", str(home / "state")]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, InvalidInput)
    assert result.stderr.startswith("trying the unit's command once, without systemd, which this shell can't reach")


def test_where_no_systemd_runs_the_unit_is_written_and_not_tried_which_is_said(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial would fail here: nobody listens at port 1."""
    monkeypatch.setattr(unit_trial, "BOOTED", home / "run/systemd/system")
    monkeypatch.setenv("PATH", str(home))
    said = install(home)
    assert "no systemd is running on this machine: the unit is written and not tried, for a machine that does" in said
    assert "trying" not in said
    assert (home / "config/systemd/user" / NAME).is_file()


@pytest.mark.usefixtures("booted")
def test_a_unit_that_would_not_run_is_not_written(home: Path) -> None:
    """Nobody listens at port 1."""
    with pytest.raises(InvalidInput, match=r"would not run: .*127.0.0.1:1 can't be reached.*--unchecked"):
        install(home)
    assert not (home / "config/systemd").exists()
    install(home, "--unchecked")
    written = home / "config/systemd/user" / NAME
    assert written.stat().st_mode & 0o777 == 0o600, "a proxy's password may be in it"


def test_where_a_manager_runs_the_very_unit_is_tried_and_its_words_come_back(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for systemctl: it keeps the unit that it is told to start, and says that it failed."""
    programs = home / "programs"
    programs.mkdir()
    unit = home / "config/systemd/user" / unit_trial.TRIAL_NAME
    for name, script in {
        "systemctl": f'echo "$@" >> {home}/asked; [ "$2" != start ] || {{ cp {unit} {home}/tried; exit 1; }}',
        "journalctl": "echo error: the data are hidden from here",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=os.pathsep)
    with pytest.raises(InvalidInput, match="would not run: error: the data are hidden from here"):
        install(home)
    tried = (home / "tried").read_text()
    assert "Type=oneshot" in tried
    assert '"--check"' in tried
    assert "Restart=" not in tried
    assert f"WorkingDirectory={home}/work" in tried
    assert not unit.exists()
    assert (home / "asked").read_text().splitlines() == [
        "--user show-environment", "--user daemon-reload", f"--user start {unit_trial.TRIAL_NAME}",
        "--user daemon-reload",
    ]  # fmt: skip


def test_a_run_that_only_checks_trains_nothing(
    live: LiveCoordinator, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = CliRunner()
    words = ["--state", str(home / "new")]
    assert runner.invoke(app, ["device", "enroll", live.link(), *words]).exit_code == 0
    data = ["--data", "own_data_of_mine:load"]
    with FolderStore(home / "new").lock():  # while the device runs
        result = runner.invoke(app, ["device", "run", "--check", *data, *words])
    assert result.exit_code == 0, result.output
    assert f"{live.url} answers" in result.output
    assert FolderStore(home / "new").keys("assignment/") == []

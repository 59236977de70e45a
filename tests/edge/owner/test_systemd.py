"""The systemd unit: what systemd itself says of it, what it shows of a home, and words that a shell would trip over."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fedrela.core.errors import InvalidInput
from fedrela.edge.owner import systemd
from fedrela.edge.owner.carried import Source
from fedrela.edge.owner.systemd import Service, environment_folders, outermost, program, quoted, unit, unit_file

LIMITS = ("Nice=10", "MemoryMax=50%", "TasksMax=64", "NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077")
HOME = Path("/home/pi")
SERVICE = Service(("/usr/bin/fedrela", "device", "run"), HOME / "state", (HOME / "photos", HOME / "venv"), HOME)
MOST_EXPOSED = 2.0  # of 10; a system unit of today is at 1.1, a user's at 1.6


def test_the_unit_has_limits_and_starts_again() -> None:
    lines = unit(SERVICE).splitlines()
    assert set(LIMITS) <= set(lines)
    assert {"Restart=on-failure", "RestartSec=60", "WantedBy=default.target"} <= set(lines)
    assert 'ReadWritePaths="/home/pi/state"' in lines


def test_of_the_home_nothing_is_visible_but_what_is_needed() -> None:
    """Else a program that has a way out of its file reads the owner's keys."""
    elsewhere = Path("/usr/lib/python3")
    readable = (HOME / "photos", HOME / "venv", HOME / "venv/lib", HOME / "state", elsewhere)
    lines = unit(replace(SERVICE, readable=readable)).splitlines()
    assert {"ProtectHome=tmpfs", "PrivateTmp=yes", "WorkingDirectory=/tmp"} <= set(lines)
    shown = [line for line in lines if line.startswith(("Bind", "ReadWritePaths", "TemporaryFileSystem"))]
    assert shown == [
        'BindReadOnlyPaths="/home/pi/photos"',
        'BindReadOnlyPaths="/home/pi/venv"',
        'BindPaths="/home/pi/state"',
        'ReadWritePaths="/home/pi/state"',
    ]
    other = unit(replace(SERVICE, home=Path("/srv/people/pi"), readable=(Path("/srv/people/pi/venv"),))).splitlines()
    assert {'TemporaryFileSystem="/srv/people/pi:ro"', 'BindReadOnlyPaths="/srv/people/pi/venv"'} <= set(other)


def test_this_environments_folders_are_named_and_no_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(tmp_path), "", "/nowhere"])
    (tmp_path / "site").mkdir()
    folders = environment_folders(tmp_path)
    assert {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), tmp_path / "site"} <= set(folders)
    assert tmp_path not in folders
    assert Path("/nowhere") not in folders


def test_the_child_may_seal_itself_and_ends_after_the_device() -> None:
    lines = unit(SERVICE).splitlines()
    assert "SystemCallFilter=@system-service seccomp landlock_create_ruleset landlock_restrict_self" in lines
    assert {"KillMode=mixed", "OOMPolicy=continue"} <= set(lines)


def test_a_system_unit_runs_as_whoever_owns_the_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = unit(replace(SERVICE, user="pi")).splitlines()
    assert {"User=pi", "WantedBy=multi-user.target", "RemoveIPC=yes", "ProtectProc=invisible"} <= set(lines)
    assert unit_file(system=True) == Path("/etc/systemd/system/fedrela-device.service")
    assert not [line for line in unit(SERVICE).splitlines() if line.startswith(("User=", "RemoveIPC", "ProtectProc"))]
    if os.geteuid() == 0:
        with pytest.raises(InvalidInput, match="belongs to root"):
            systemd.service([], tmp_path, Source("x", ()), system=True)
        os.chown(tmp_path, 1, 1)  # daemon
        assert systemd.service([], tmp_path, Source("x", ()), system=True).user == "daemon"
        os.chown(tmp_path, 0, 0)
    assert systemd.service(["device"], tmp_path, Source("x", (tmp_path,))).user == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("user", ["", "daemon"])
def test_systemd_finds_the_service_little_exposed(user: str, tmp_path: Path) -> None:
    path = tmp_path / "fedrela-device.service"
    path.write_text(unit(replace(SERVICE, user=user)))
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level for fedrela-device.service: ([0-9.]+)", done.stdout)
    assert level, done.stderr
    assert float(level.group(1)) <= MOST_EXPOSED


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_and_its_words_literally(tmp_path: Path) -> None:
    state = tmp_path / "a state: one"
    state.mkdir()
    path = tmp_path / "fedrela-device.service"
    command_words = (sys.executable, "--data", 'my "100 %h" $HOME; photos')
    path.write_text(unit(replace(SERVICE, command=command_words, state=state, readable=(tmp_path / 'a "b" %h',))))
    command = ["systemd-analyze", "verify", "--man=no", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    about_ours = [line for line in done.stderr.splitlines() if "fedrela-device" in line]
    assert about_ours == []
    path.write_text(path.read_text().replace("Nice=10", "Nicest=10"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Unknown key name 'Nicest'" in done.stderr or "Unknown key 'Nicest'" in done.stderr


def test_words_are_escaped() -> None:
    assert quoted("a b") == '"a b"'
    assert quoted('50% "x" \\') == '"50%% \\"x\\" \\\\"'
    assert '"cost$$"' in unit(replace(SERVICE, command=("cost$",)))
    assert outermost([Path("/a/b"), Path("/a"), Path("/ab")]) == [Path("/a"), Path("/ab")]


def test_the_program_is_the_one_that_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fedrela").touch()
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "fedrela"), "device"])
    assert program() == [str(tmp_path / "fedrela")]
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "fedrela.py"), "device"])
    assert program() == [sys.executable, "-P", "-m", "fedrela"]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert unit_file() == tmp_path / "systemd/user/fedrela-device.service"

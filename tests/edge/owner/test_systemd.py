"""The systemd unit: what systemd itself says of it, and words that a shell would trip over."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedrela.edge.owner.systemd import program, quoted, unit, unit_file

LIMITS = ("Nice=10", "MemoryMax=50%", "TasksMax=64", "NoNewPrivileges=yes", "ProtectSystem=strict", "UMask=0077")


def test_the_unit_has_limits_and_starts_again() -> None:
    lines = unit(["/usr/bin/fedrela", "device", "run"], Path("/home/pi/state")).splitlines()
    assert set(LIMITS) <= set(lines)
    assert {"Restart=on-failure", "RestartSec=60", "WantedBy=default.target"} <= set(lines)
    assert 'ReadWritePaths="/home/pi/state"' in lines


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit_and_its_words_literally(tmp_path: Path) -> None:
    state = tmp_path / "a state"
    state.mkdir()
    path = tmp_path / "fedrela-device.service"
    path.write_text(unit([sys.executable, "--data", 'my "100 %h" $HOME; photos'], state))
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
    assert '"cost$$"' in unit(["cost$"], Path("/s"))


def test_the_program_is_the_one_that_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fedrela").touch()
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "fedrela"), "device"])
    assert program() == [str(tmp_path / "fedrela")]
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "fedrela.py"), "device"])
    assert program() == [sys.executable, "-P", "-m", "fedrela"]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert unit_file() == tmp_path / "systemd/user/fedrela-device.service"

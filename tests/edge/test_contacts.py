"""Nobody is looked up or connected to but the coordinator, and no file appears but in the state folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMESPACE = ["unshare", "--user", "--map-root-user", "--net", "--mount"]


def test_a_device_contacts_its_coordinator_and_nobody_else(tmp_path: Path) -> None:
    check_contacts("tests.edge.closed_world", tmp_path)


def check_contacts(life: str, folder: Path) -> None:
    """Live a life, a module that ends with `closed_world.report`, and look at whom it was in contact with."""
    possible = all(map(shutil.which, ("unshare", "ip", "mount")))
    if not possible or subprocess.run([*NAMESPACE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this system makes no network namespace for us (unshare, ip)")
    command = [*NAMESPACE, sys.executable, "-m", life, str(folder)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert finished.returncode == 0, finished.stderr[-4000:]
    told = json.loads(finished.stdout.splitlines()[-1])
    assert told["seen"] == {"names": [], "connections": []}
    assert told["files"] == []
    assert "name.example" in told["control"]["names"]
    assert told["control"]["connections"] == ["192.0.2.7:443"]

"""Processes of ours find our package and the libraries, whatever lies in the folder that they are started from."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fedrela.core import interpreter

ROOT = Path(__file__).parents[2]
SHOW = ("fedrela", "device", "show-upload", "--json", "--state", "state")  # it imports our packages and numpy


@pytest.fixture
def malicious(tmp_path: Path) -> Path:
    """A folder with files that are called like what a process of ours imports."""
    folder = tmp_path / "malicious"
    folder.mkdir()
    for name in ("fedrela", "numpy", "typer"):
        (folder / f"{name}.py").write_text("print('fooled')\nraise SystemExit(3)\n")
    return folder


def run(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_folder_of_the_call_fools_nobody(malicious: Path) -> None:
    finished = run(interpreter.command(*SHOW), malicious, interpreter.environment())
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout) == {"requests": [], "messages": {}}


def test_it_would_fool_a_process_started_in_the_usual_way(malicious: Path) -> None:
    environment = {name: value for name, value in interpreter.environment().items() if name != "PYTHONSAFEPATH"}
    finished = run([sys.executable, "-m", *SHOW], malicious, environment)
    assert (finished.returncode, finished.stdout) == (3, "fooled\n")


def test_a_package_that_is_on_the_path_and_not_installed_is_found(malicious: Path, tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "fedrela").mkdir(parents=True)
    shutil.copy(ROOT / "fedrela" / "__init__.py", place / "fedrela")
    shutil.copytree(ROOT / "core", place / "fedrela" / "core", ignore=shutil.ignore_patterns("__pycache__"))
    (place / "fedrela" / "where.py").write_text("import fedrela.core\nprint(fedrela.core.__file__)\n")
    parent = (
        f"import subprocess, sys; sys.path.insert(0, {str(place)!r})\n"
        "from fedrela.core import interpreter\n"
        "subprocess.run(interpreter.command('fedrela.where'), env=interpreter.environment(), check=True)\n"
    )
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = run([sys.executable, "-P", "-c", parent], malicious, outside)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == f"{place}/fedrela/core/__init__.py\n"


def test_the_path_of_the_caller_comes_first_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/first", "", str(ROOT), "/second"]))
    assert interpreter.environment()["PYTHONPATH"] == os.pathsep.join(["/first", str(ROOT), "/second"])


def test_an_installed_package_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if os.path.abspath(entry) != str(ROOT)])
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    assert interpreter.environment() == os.environ | {"ORT_DISABLE_TELEMETRY": "1"}

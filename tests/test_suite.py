"""The suite's own rules: what waits is known, and in CI nothing is left out."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import killable_server
from tests.core import test_hours
from tests.edge import live
from tests.edge.network import test_faulty_network, test_transport
from tests.packaging import test_lower_bounds
from tests.waiting import code_waits

ROOT = Path(__file__).parents[1]
LEFT_OUT = """
import pytest

def test_there():
    pass

def test_left_out():
    pytest.skip("no such program")
"""


@pytest.mark.parametrize(
    "code",
    [
        killable_server.Server,
        live.coordinator,
        test_faulty_network.test_a_bad_network_changes_nothing,
        test_lower_bounds.test_every_verb_does_what_it_is_for,
    ],
)
def test_what_runs_processes_threads_or_a_network_waits(code: Callable[..., object]) -> None:
    assert code_waits(code, set())


@pytest.mark.parametrize("module", [test_hours, test_transport])
def test_what_only_computes_does_not(module: object) -> None:
    functions = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert functions
    assert not [function for function in functions if code_waits(function, set())]


@pytest.mark.parametrize(("ci", "status"), [("true", 1), (None, 0)])
def test_in_ci_a_test_that_is_left_out_fails(tmp_path: Path, ci: str | None, status: int) -> None:
    (tmp_path / "test_own.py").write_text(LEFT_OUT)
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": ci} if ci else {})
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
    ]
    done = subprocess.run(
        [*command, tmp_path / "test_own.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("left out in CI, where nothing may be" in done.stdout) == bool(ci)
    assert "1 passed" in done.stdout

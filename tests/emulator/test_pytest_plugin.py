"""The plugin in somebody else's project: names that don't collide, former names, and a project's own fixtures."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN = """
import pytest

@pytest.fixture
def coordinator():
    return "a person who coordinates"

@pytest.fixture
def fleet():
    return ["a ship"]

@pytest.fixture
def export_bundle():
    return "a crate"
"""


def run_tests(project: Path, text: str) -> str:
    """The summary of a project's tests, which must pass."""
    (project / "test_own.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(project / "test_own.py")],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()[-1]


def small(folder: Path) -> str:
    """A test's arguments for the small fleet."""
    return f"{str(folder / 'small.toml')!r}, bundle={str(folder / 'bundle')!r}"


def test_a_projects_own_fixtures_of_the_former_names_change_nothing_of_ours(folder: Path, tmp_path: Path) -> None:
    tests = f"""
def test_ours(fedrela_fleet, coordinator, fleet, export_bundle):
    assert (coordinator, fleet, export_bundle) == ("a person who coordinates", ["a ship"], "a crate")
    over_http = fedrela_fleet({small(folder)}, in_process=False)
    assert over_http.final_sha256 == fedrela_fleet({small(folder)}).final_sha256

def test_exports(fedrela_export_bundle, export_bundle):
    assert callable(fedrela_export_bundle)
"""
    assert run_tests(tmp_path, OWN + tests).startswith("2 passed")


def test_the_former_names_are_the_same_fixtures(folder: Path, tmp_path: Path) -> None:
    tests = f"""
def test_former(fleet, coordinator, export_bundle, fedrela_coordinator, fedrela_export_bundle):
    assert coordinator is fedrela_coordinator
    assert export_bundle is fedrela_export_bundle
    assert fleet({small(folder)}, hostile=()).summary["rounds"] == 4
"""
    assert run_tests(tmp_path, tests).startswith("1 passed")


def test_a_coordinator_that_a_project_overrides_is_still_used_by_the_former_fleet(folder: Path, tmp_path: Path) -> None:
    tests = f"""
import dataclasses
import pytest

@pytest.fixture(scope="session")
def coordinator(coordinator):
    return dataclasses.replace(coordinator, admin_key="wrong" * 5)

def test_former(fleet):
    with pytest.raises(Exception, match="does not know this admin key"):
        fleet({small(folder)}, in_process=False)
"""
    assert run_tests(tmp_path, tests).startswith("1 passed")

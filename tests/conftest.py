"""Shared by all tests: no deadlines, the longest files first, one export for all workers, and a calm collector."""

import fcntl
import gc
import os
import pickle
import tempfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests.packaging import lower_bounds
from tests.waiting import waits

T = TypeVar("T")

# What tests export is signed by a publisher of theirs, also in the processes that they start.
_CONFIGURATION = tempfile.TemporaryDirectory(prefix="fedrela-tests-")
os.environ["XDG_CONFIG_HOME"] = _CONFIGURATION.name

# An example of a property has no deadline, since a busy machine is no fault of the product.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Tracing makes millions of objects that live: looking for garbage among them every 700 takes a tenth of an export.
gc.set_threshold(50_000, 20, 20)

# A file runs whole in one worker (`--dist loadfile`); a long one that began last would leave the others idle.
LONGEST_FIRST = (
    "android/artifacts/test_build.py",
    "export/layers/test_catalog.py",
    "web/test_http_cases.py",
    "export/verification/test_comparison.py",
    "export/verification/test_reference_models.py",
    "export/verification/test_oldest_runtime.py",
    "web/test_node.py",
    "web/test_webgpu.py",
    "web/test_faults.py",
    "export/official/test_official.py",
    "export/test_classifier.py",
    "emulator/test_ci_scenario.py",
    "study/test_longtail.py",
    "export/executorch_programs/test_bundle.py",
    "edge/engines/test_executorch_engine.py",
    "packaging/test_installed.py",
    "test_docstrings.py",
    "test_walk.py",
    "emulator/test_ci_project.py",
    "arm64/test_arm64.py",
    "web/test_tabs.py",
    "web/test_pictures.py",
    "emulator/fleet/test_fleet.py",
)
_RANK = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST_FIRST)}


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses among them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files, the tests of a file staying as they are, and mark those that wait."""
    items.sort(key=lambda item: _RANK.get(item.path, len(_RANK)))
    for item in items:
        if isinstance(item, pytest.Function) and waits(item):
            item.add_marker("waits")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing is skipped: what a test needs is installed there, or it belongs to a command of its own."""
    report = yield
    if report.skipped and "CI" in os.environ and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out in CI, where nothing may be: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], T]], T]:
    """`made_once("name", make)`: what `make(folder)` gave and wrote, made once for all workers of this test run."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], T]) -> T:
        place = shared / f"made-once-{name}"
        place.mkdir(exist_ok=True)
        with (place / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (place / "value").exists():
                (place / "value").write_bytes(pickle.dumps(make(place / "folder")))
        value: T = pickle.loads((place / "value").read_bytes())
        return value

    return made


@pytest.fixture(scope="session")
def oldest_packages(made_once: Callable[[str, Callable[[Path], Path]], Path]) -> Path:
    """The python of an environment with the oldest packages of a device and of a coordinator."""
    return made_once("oldest packages", lambda folder: lower_bounds.install(folder, "edge", "coordinator"))

"""Shared by all tests: no deadlines, the longest files first, one export for all workers, and a calm collector."""

import fcntl
import gc
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

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
    "export/layers/test_catalog.py",
    "export/verification/test_comparison.py",
    "export/verification/test_reference_models.py",
    "export/official/test_official.py",
    "export/test_classifier.py",
    "emulator/test_ci_scenario.py",
    "study/test_longtail.py",
    "export/executorch_programs/test_bundle.py",
    "edge/engines/test_executorch_engine.py",
    "packaging/test_installed.py",
    "emulator/test_ci_project.py",
    "arm64/test_arm64.py",
    "web/test_tabs.py",
    "emulator/fleet/test_fleet.py",
)
_RANK = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST_FIRST)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; the tests of a file stay as they are."""
    items.sort(key=lambda item: _RANK.get(item.path, len(_RANK)))


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

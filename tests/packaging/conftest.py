"""One build and one installation for all tests of a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import distributions


@pytest.fixture(scope="session")
def wheel(made_once: Callable[..., Path]) -> Path:
    """The wheel that the tracked files make."""

    def make(folder: Path) -> Path:
        return distributions.build("build_wheel", distributions.copy_tracked_files(folder / "tree"), folder / "wheel")

    return made_once("wheel", make)


@pytest.fixture(scope="session")
def installed(made_once: Callable[..., Path], wheel: Path) -> Path:
    """The bin folder of an environment in which the wheel is installed."""
    return made_once("installed", lambda folder: distributions.install(wheel, folder, scripts=("uvicorn", "pytest")))

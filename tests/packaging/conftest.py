"""One build and one installation for all tests of a run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.packaging import distributions, release


@pytest.fixture(scope="session")
def released(made_once: Callable[..., tuple[Path, Path]]) -> tuple[Path, Path]:
    """The sdist and the wheel, as `make dist` makes them; without the phone page where that was never built."""
    return made_once("released", lambda folder: release.make(folder / "dist"))


@pytest.fixture(scope="session")
def sdist(released: tuple[Path, Path]) -> Path:
    """The sdist of a release."""
    return released[0]


@pytest.fixture(scope="session")
def wheel(released: tuple[Path, Path]) -> Path:
    """The wheel of a release."""
    return released[1]


@pytest.fixture(scope="session")
def installed(made_once: Callable[..., Path], wheel: Path) -> Path:
    """The bin folder of an environment in which the wheel is installed."""
    return made_once("installed", lambda folder: distributions.install(wheel, folder, scripts=("uvicorn", "pytest")))

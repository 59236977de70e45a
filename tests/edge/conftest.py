"""Shared by the edge tests: the hand-written bundle, an engine on it, and small data."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedrela.core.bundle import Bundle, Manifest, Preprocessing, Program, ProgramInput
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.training.examples import Examples
from tests.edge import softmax_bundle
from tests.edge.live import LiveCoordinator, coordinator

DIES = "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n"  # as on a processor that lacks an instruction


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The softmax-regression bundle, verified."""
    return softmax_bundle.write(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def engine(small_bundle: Bundle) -> OnnxEngine:
    """One engine, shared by every test, as devices share it."""
    opened = EnginePool().open("0" * 64, small_bundle.manifest, lambda file: read(small_bundle.folder, file.path))
    assert isinstance(opened, OnnxEngine)
    return opened


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveCoordinator]:
    """A coordinator of the test's own, on loopback."""
    with coordinator(tmp_path / "coordinator") as running:
        yield running


@pytest.fixture
def broken_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put an `onnxruntime` of these lines before the installed one, for the processes that are started from now on."""

    def install(lines: str) -> None:
        package = tmp_path / "broken runtime"
        package.mkdir()
        (package / "onnxruntime.py").write_text(lines)
        monkeypatch.setenv("PYTHONPATH", f"{package}{os.pathsep}{Path(__file__).parents[2]}")

    return install


def read(folder: Path, path: str) -> bytes:
    """A program's bytes."""
    return (folder / path).read_bytes()


def some_examples(count: int = 23, *, seed: int = 0) -> Examples:
    """Long-tailed labels 0, 1, 2 and pixels that say something about them."""
    rng = np.random.default_rng(seed)
    y = np.sort(rng.choice(3, count, p=[0.7, 0.2, 0.1])).astype(np.int64)
    x = rng.integers(0, 120, (count, 1, softmax_bundle.SIDE, softmax_bundle.SIDE), dtype=np.uint8)
    x[np.arange(count), 0, y, :] += 80
    return Examples({"x": x}, y)


@pytest.fixture
def manifest(small_bundle: Bundle) -> Manifest:
    """The small bundle's manifest, with names for its classes."""
    return replace(small_bundle.manifest, class_names=("ant", "bee", "cat"))


def with_x(manifest: Manifest, shape: tuple[int | str, ...], dtype: str, **how: Any) -> Manifest:
    """The manifest of a model with another input."""
    x = ProgramInput("x", "x", shape, dtype)
    step = manifest.train_step
    inputs = tuple(x if item.role == "x" else item for item in step.inputs)
    return replace(manifest, train_step=Program(inputs, step.outputs, step.files), preprocessing=Preprocessing(**how))

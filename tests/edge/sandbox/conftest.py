"""A sandbox of a test's own, and engines in it."""

from collections.abc import Callable, Iterator

import pytest

from fedrela.core.bundle import Bundle
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.sandbox.process import Limits, Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """With the limits that a test wants small enough to meet them."""
    made = Sandbox(("onnx",), limits=Limits(seconds=60.0))
    yield made
    made.close()


@pytest.fixture
def opened() -> Callable[[Bundle, Sandbox | None], Engine]:
    """Opens a bundle, in a sandbox or here."""

    def open_bundle(bundle: Bundle, sandbox: Sandbox | None) -> Engine:
        pool = EnginePool(sandbox.runtimes if sandbox else ("onnx",), sandbox=sandbox)
        return pool.open("0" * 64, bundle.manifest, lambda file: (bundle.folder / file.path).read_bytes())

    return open_bundle

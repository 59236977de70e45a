"""Which runtime a device chooses for a bundle, and how versions compare."""

from dataclasses import replace

import pytest

from fedrela.core.bundle import PROGRAMS, Bundle, Manifest
from fedrela.core.errors import InvalidInput, MissingDependency
from fedrela.edge.engines import pool as engines
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.pool import EnginePool, choose, runtime_version

INSTALLED = {"onnx": "1.9.0", "executorch": "1.4.1"}


def with_files(manifest: Manifest, **needed: tuple[str, ...]) -> Manifest:
    """The manifest with a file per runtime; `needed`: the least version for each program, in order, "" for no file."""
    programs = {}
    for row, name in enumerate(PROGRAMS):
        program = getattr(manifest, name)
        files = [
            replace(program.files[0], runtime=runtime, min_runtime_version=versions[row])
            for runtime, versions in needed.items()
            if versions[row]
        ]
        programs[name] = replace(program, files=tuple(files))
    return replace(manifest, **programs)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runtimes of known versions; none is imported."""
    monkeypatch.setattr(engines, "runtime_version", INSTALLED.__getitem__)


@pytest.mark.parametrize("order", [("onnx", "executorch"), ("executorch", "onnx")])
def test_the_first_runtime_that_fits_is_taken(small_bundle: Bundle, order: tuple[str, ...]) -> None:
    both = with_files(small_bundle.manifest, onnx=("1.9.0",) * 3, executorch=("1.4.1",) * 3)
    assert choose(both, order) == order[0]


def test_a_runtime_without_a_file_for_every_program_is_passed_over(small_bundle: Bundle) -> None:
    torn = with_files(small_bundle.manifest, onnx=("1.0", "", "1.0"), executorch=("1.0",) * 3)
    assert choose(torn, ("onnx", "executorch")) == "executorch"


def test_the_most_demanding_program_decides_by_number_and_not_by_letter(small_bundle: Bundle) -> None:
    newer = with_files(small_bundle.manifest, onnx=("1.2", "1.10.0", "1.9.0"), executorch=("1.4.1",) * 3)
    assert choose(newer, ("onnx", "executorch")) == "executorch"
    with pytest.raises(MissingDependency, match=r"onnx 1\.10\.0 or newer is needed, 1\.9\.0 is installed"):
        choose(newer, ("onnx",))


def test_every_reason_is_named_where_none_fits(small_bundle: Bundle) -> None:
    neither = with_files(small_bundle.manifest, onnx=("2.0",) * 3)
    with pytest.raises(MissingDependency, match=r"onnx 2\.0 or newer.*; the bundle has no executorch programs"):
        choose(neither, ("onnx", "executorch"))


def test_an_unknown_runtime_and_one_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="no runtime 'tflite'"):
        runtime_version("tflite")
    monkeypatch.setitem(engines.RUNTIMES, "absent", ("edge.no_such_engine", "Absent", "pip install absent"))
    with pytest.raises(MissingDependency, match="absent is not installed") as caught:
        runtime_version("absent")
    assert caught.value.remedy == "pip install absent"


def test_a_pool_offers_its_runtimes_in_the_order_of_preference() -> None:
    pool = EnginePool(("executorch", "onnx"))
    assert pool.offered() == ("executorch 1.4.1", "onnx 1.9.0")
    assert pool.known("0" * 64) is None


def test_an_engine_of_the_hosts_own_is_given_and_no_program_is_read(small_bundle: Bundle) -> None:
    pool, engine = EnginePool(), OnnxEngine(small_bundle.manifest, {})
    pool.add("0" * 64, engine)
    assert pool.known("0" * 64) is engine
    assert pool.open("0" * 64, small_bundle.manifest, lambda file: pytest.fail(file.path)) is engine
    pool.close({"0" * 64})
    assert pool.known("0" * 64) is None

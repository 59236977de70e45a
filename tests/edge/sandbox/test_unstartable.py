"""A runtime that can't start is named with its version, and its owner reads a way out that fits his installation."""

import sys
from collections.abc import Callable
from importlib import metadata

import pytest

from fedrela.core.environment import extras
from fedrela.core.errors import MissingDependency
from fedrela.edge.sandbox import unstartable
from fedrela.edge.sandbox.process import Sandbox
from tests.edge.conftest import DIES

LOWEST = next(
    text.partition(">=")[2].partition(";")[0].strip()
    for text in metadata.requires("fedrela") or ()
    if text.startswith("onnxruntime")
)
PIP = f"{sys.executable} -m pip install"


def fault_of(runtime: str) -> MissingDependency:
    """What is raised where its version is asked for."""
    with pytest.raises(MissingDependency) as caught:
        Sandbox((runtime,)).version(runtime)
    return caught.value


def test_one_that_dies_at_import_is_named_with_its_version_and_a_way_out(
    broken_runtime: Callable[[str], None],
) -> None:
    broken_runtime(DIES)
    fault = fault_of("onnx")
    here = metadata.version("onnxruntime")
    assert f"(onnxruntime {here}) can be started: the runtime's process ended with signal 11" in fault.problem
    assert f"{sys.executable} -P -m fedrela.edge.sandbox.warm_up onnx" in fault.remedy
    assert f"another version of the runtime may work on this processor: {PIP} onnxruntime=={LOWEST}" in fault.remedy


def test_one_whose_library_cannot_be_loaded_is_installed_and_says_why(broken_runtime: Callable[[str], None]) -> None:
    broken_runtime("raise ImportError('libstdc++.so.6: version GLIBCXX_3.4.99 not found', name='onnxruntime.capi')")
    fault = fault_of("onnx")
    assert "can't be loaded: libstdc++.so.6: version GLIBCXX_3.4.99 not found" in fault.problem
    assert f"{PIP} onnxruntime=={LOWEST}" in fault.remedy
    assert "not installed" not in str(fault)


def test_one_that_is_missing_is_installed_by_its_extra(broken_runtime: Callable[[str], None]) -> None:
    broken_runtime("raise ModuleNotFoundError('none', name='onnxruntime')")
    fault = fault_of("onnx")
    assert "is not installed (onnxruntime is missing)" in fault.problem
    assert "pip install 'fedrela[edge]'" in fault.remedy


def test_where_the_lowest_is_installed_a_newer_one_may_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: LOWEST)
    assert unstartable.remedy(("onnx",)).endswith(f"{PIP} --upgrade onnxruntime")


def test_a_package_without_a_lowest_version_has_no_other() -> None:
    """This package names one version of ExecuTorch."""
    assert extras.lowest("executorch") == ""
    assert "pip" not in unstartable.remedy(("executorch",))
    assert f"(executorch {metadata.version('executorch')})" in unstartable.error(("executorch",), "it ended").problem


def test_the_lowest_version_is_the_one_of_the_packages_own_metadata(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = ["pillow>=10; extra == 'edge'", 'onnxruntime>=1.99.0rc1; extra == "edge"', "onnx-ir==1.0"]
    monkeypatch.setattr(metadata, "requires", lambda name: bounds)
    assert [extras.lowest(name) for name in ("onnxruntime", "pillow", "onnx", "onnx-ir")] == ["1.99.0rc1", "10", "", ""]

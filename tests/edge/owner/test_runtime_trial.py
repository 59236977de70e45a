"""A machine whose runtime can't start learns it before it takes a place, and from `doctor`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedrela.core.errors import InvalidInput, MissingDependency
from fedrela.edge.owner import doctor, runtime_trial
from fedrela.edge.owner.cli import app
from tests.edge.conftest import DIES
from tests.edge.live import LiveCoordinator

Broken = Callable[[str], None]


def doctor_says(state: Path) -> tuple[int, dict]:
    """Its exit status and its report."""
    result = CliRunner().invoke(doctor.app, ["doctor", "--state", str(state), "--json"])
    return result.exit_code, json.loads(result.output)


def test_doctor_names_the_runtime_that_starts(tmp_path: Path) -> None:
    status, told = doctor_says(tmp_path / "state")
    assert (status, told["runtime"], told["problems"]) == (0, runtime_trial.started("onnx"), [])
    assert told["runtime"].startswith("onnx 1.")
    assert f"{'runtime':12} {told['runtime']} starts" in doctor.render(told)


def test_doctor_lists_a_runtime_that_dies_and_looks_at_the_rest(tmp_path: Path, broken_runtime: Broken) -> None:
    broken_runtime(DIES)
    status, told = doctor_says(tmp_path / "state")
    (problem,) = told["problems"]
    assert (status, told["runtime"], told["device"]["enrolled"]) == (1, None, False)
    assert "edge" in told["installed"]
    assert "onnxruntime" in problem
    assert "signal 11" in problem
    assert "pip install onnxruntime==" in problem


def test_a_device_that_cannot_train_is_not_enrolled(
    live: LiveCoordinator, tmp_path: Path, broken_runtime: Broken, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime_trial.unstartable, "PACKAGES", {"onnx": "onnxruntime"})
    link = live.link()
    broken_runtime(DIES)
    state = tmp_path / "state"
    result = CliRunner().invoke(app, ["device", "enroll", link, "--state", str(state)])
    assert isinstance(result.exception, MissingDependency)
    assert "signal 11" in result.exception.problem
    assert live.admin.get("/devices") == []
    assert not state.exists()


def test_another_runtime_that_starts_is_enough_and_the_next_verb_names_it(
    live: LiveCoordinator, tmp_path: Path, broken_runtime: Broken
) -> None:
    broken_runtime(DIES)
    result = CliRunner().invoke(app, ["device", "enroll", live.link(), "--state", str(tmp_path / "state")])
    assert f"device run --state {tmp_path}/state --runtime executorch --data FOLDER" in result.output


def test_a_device_that_has_not_enrolled_is_told_so_before_its_runtime_is_touched(
    tmp_path: Path, broken_runtime: Broken
) -> None:
    broken_runtime(DIES)
    words = ["device", "run", "--data", str(tmp_path / "none.npz"), "--state", str(tmp_path / "state")]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, InvalidInput)
    assert "has not enrolled" in result.exception.problem

"""The Kotlin client walks with a real coordinator, and its updates are the Python device's."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedrela.conformance.files import ROUNDS_BUNDLE, VECTORS
from fedrela.conformance.rounds.round_cases import programs, run
from fedrela.core import bundle, tensors
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from tests.android.device import KOTLIN, words
from tests.edge.live import LiveCoordinator, coordinator
from tests.web.same_update import check_same_update, train_on

pytestmark = KOTLIN

DATA = VECTORS / "rounds" / "data.safetensors"
SECRET = bytes(range(32))
TASK = Task(
    "digits",
    2,
    local=LocalTraining(epochs=3, batch_size=8),
    relabel=Relabel(enabled=False),
    round=Rounds(goal=1, smallest_cohort=1, retry_after_seconds=0.05),
)
TASKS = {
    "plain": TASK,
    "re-labels": replace(TASK, relabel=Relabel(start=1, threshold_percent=30.0, passes=2)),
    "mixup": replace(TASK, local=LocalTraining(epochs=2, batch_size=16, sampling="class-balanced", synthesis="mixup")),
    "float16": replace(TASK, aggregation=Aggregation(encoding="float16")),
}


def once(live: LiveCoordinator, state: Path) -> str:
    """What the client says of one assignment."""
    command = words("once", link=live.link(), state=state, data=DATA, secret=SECRET.hex())
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def python_update(task: Task, number: int, weights: Any, secret: bytes = SECRET) -> Any:
    """A Python device's labels and update; re-labeled with these weights where the task is re-labeling."""
    engine, arrays = python_engine(), tensors.read(DATA.read_bytes())
    return run(engine, LocalRound(task, number, secret), weights, Examples({"x": arrays["x"]}, arrays["y"]))


def python_engine() -> OnnxEngine:
    opened = bundle.read(ROUNDS_BUNDLE)
    return OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))


@pytest.mark.parametrize("name", TASKS)
def test_an_update_is_the_python_device_s(name: str, tmp_path: Path) -> None:
    opened, task = bundle.read(ROUNDS_BUNDLE), TASKS[name]
    with coordinator(tmp_path / "coordinator") as live:
        task_id = live.publish(opened, task)
        assert once(live, tmp_path / "state") == "uploaded 1"
        live.wait(lambda: live.committed(task_id) == 1)
        sent = tensors.read((tmp_path / "state" / "last" / "update").read_bytes())
        labels, want = python_update(task, 1, opened.weights)
        if task.aggregation.encoding == "float16":
            want = {name: array.astype("float16") for name, array in want.items()}
        check_same_update(opened.weights, want, sent)
        assert once(live, tmp_path / "state") == "uploaded 2"
        weights = live.weights(live.rounds(task_id)[0]["checkpoint_sha256"], opened)
        if task.aggregation.encoding == "float32":
            sent = tensors.read((tmp_path / "state" / "last" / "update").read_bytes())
            arrays = tensors.read(DATA.read_bytes())
            # The labels that were laid over the data in the first round stay.
            local, examples = LocalRound(task, 2, SECRET), Examples({"x": arrays["x"]}, arrays["y"])
            check_same_update(weights, train_on(python_engine(), local, weights, examples, labels), sent)


def test_a_device_that_leaves_forgets_everything(tmp_path: Path) -> None:
    with coordinator(tmp_path / "coordinator") as live:
        state = tmp_path / "state"
        assert once(live, state) == "waiting no-task"
        assert (state / "identity.json").is_file()
        done = subprocess.run(words("leave", state=state), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert not state.exists()


def test_nothing_of_the_data_leaves_the_device(tmp_path: Path) -> None:
    """Bodies hold what the protocol's pages name, and no label, count per class, file name or secret."""
    with coordinator(tmp_path / "coordinator") as live:
        live.publish(bundle.read(ROUNDS_BUNDLE), TASKS["re-labels"])
        assert once(live, tmp_path / "state") == "uploaded 1"
    last = {path.name: path.read_bytes() for path in (tmp_path / "state" / "last").iterdir()}
    assert set(last) == {"check-ins", "update"}
    assert tensors.read_metadata(last["update"]).keys() == {"encoding", "examples", "protocol"}
    assert set(tensors.read(last["update"])) == {spec.name for spec in bundle.read(ROUNDS_BUNDLE).manifest.weights}
    for body in last.values():
        assert SECRET.hex().encode() not in body
        assert DATA.name.encode() not in body

"""A Python device goes on after a kill, lays labels over grown data and owes what top-k dropped, as the vectors say."""

import itertools
from collections.abc import Callable
from threading import Event as StopEvent
from typing import Any

import numpy as np
import pytest

from fedrela.conformance.files import VECTORS, read_json
from fedrela.conformance.rounds.assignment_cases import Device, open_device
from fedrela.core import golden, tensors
from fedrela.core.protocol import task_json
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.core.wire import Assignment
from fedrela.edge.conditions.eligibility import Conditions
from fedrela.edge.engines.executorch_engine import ExecutorchEngine
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.network.fetch import Job
from fedrela.edge.owner.settings import DeviceSettings, Event
from fedrela.edge.storage import state
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training.examples import Examples, Overlay
from fedrela.edge.training.work import RoundWork

ASSIGNMENTS = VECTORS / "assignments"
OF_WEIGHTS, OF_UPDATE = 1e-5, 1e-4  # relative to the largest element; an update is a small difference of weights
DOCUMENT: dict[str, Any] = read_json("assignments/assignments.json")
MODEL = VECTORS / "models" / DOCUMENT["model"]
ENGINES: dict[str, Any] = {"onnx": OnnxEngine, "executorch": ExecutorchEngine}
CASES = {
    case["name"]: case
    for model in read_json("models/models.json")
    if model["name"] == DOCUMENT["model"]
    for case in model["cases"]
}


class Killed(BaseException):
    """The process ends here: nothing that comes later happens."""


def killed_in(step: int) -> Callable[[Event], None]:
    """Ends the process when a step has been computed and nothing of it was kept."""

    def emit(event: Event) -> None:
        if event.kind == "step" and event.step == step:
            raise Killed

    return emit


def ignored(event: object) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module", params=ENGINES)
def device(request: pytest.FixtureRequest) -> Device:
    return open_device(ENGINES[request.param], request.param)


def work_of(
    device: Device,
    store: MemoryStore,
    task: Task,
    case: dict[str, Any],
    examples: Examples,
    *,
    emit: Callable[[Event], None] = ignored,
    checkpoint_steps: int = 0,
) -> RoundWork:
    """What a device does of an assignment, from whatever its store holds."""
    assignment = Assignment("a", "task", case["round"], *("0" * 64,) * 3, 1, 1000.0, 1000.0, "token")
    return RoundWork(
        job=Job(assignment, task, device.engine, device.weights),
        held=state.load_assignment(store) or state.HeldAssignment(assignment, 0.0),
        secret=bytes.fromhex(case["secret"]),
        store=store,
        source=lambda manifest: examples,
        settings=DeviceSettings(checkpoint_steps=checkpoint_steps),
        conditions=Conditions,
        now=itertools.count().__next__,
        sleep=ignored,
        stop=StopEvent(),
        emit=emit,
        evaluate=ignored,
    )


def assert_update(device: Device, path: Any, body: bytes | None) -> None:
    expected, update = tensors.read(path.read_bytes()), tensors.read(body or b"")
    assert {"update." + name for name in update} == set(expected) - {"labels"}
    for name, change in update.items():
        want, start = expected["update." + name], device.weights[name]
        assert golden.relative_error(start + want, start + change) <= OF_WEIGHTS, name
        assert golden.relative_error(want, change) <= OF_UPDATE, name


@pytest.mark.parametrize("kill", DOCUMENT["kills"], ids=lambda kill: f"{kill['case']}, {kill['killed_after']}")
def test_a_device_that_is_killed_goes_on_from_what_it_kept(device, kill):
    case, store = CASES[kill["case"]], MemoryStore()
    task, examples = task_json.decode(case["task"]), device.all_rows
    for step in kill["killed_after"]:
        work = work_of(device, store, task, case, examples, emit=killed_in(step + 1), checkpoint_steps=step)
        with pytest.raises(Killed):
            work.update()
    snapshot = state.load_snapshot(store, work.carried_specs())
    assert snapshot is not None
    assert snapshot.steps == kill["killed_after"][-1]
    expected = tensors.read((ASSIGNMENTS / kill["state"]).read_bytes())
    assert set(expected) == set(snapshot.tensors)
    assert all(golden.relative_error(want, snapshot.tensors[name]) <= OF_UPDATE for name, want in expected.items())
    steps: list[int] = []
    resumed = work_of(device, store, task, case, examples, emit=lambda event: steps.append(event.step)).update()
    assert [step for step in steps if step][:-1] == list(range(snapshot.steps + 1, kill["steps"] + 1))
    assert resumed == work_of(device, MemoryStore(), task, case, examples).update()
    assert_update(device, MODEL / f"{kill['case']}.safetensors", resumed)


@pytest.mark.parametrize("change", DOCUMENT["changes"], ids=lambda change: change["name"])
def test_a_round_whose_data_changed_starts_over(device, change):
    store, steps = MemoryStore(), list[int]()
    task, step = task_json.decode(change["task"]), change["killed_after"]
    before, after = device.examples(change["before"]), device.examples(change["after"])
    with pytest.raises(Killed):
        work_of(device, store, task, change, before, emit=killed_in(step + 1), checkpoint_steps=step).update()
    body = work_of(device, store, task, change, after, emit=lambda event: steps.append(event.step)).update()
    assert next(step for step in steps if step) == (1 if change["starts_over"] else step + 1)
    assert_update(device, ASSIGNMENTS / change["expected"], body)


@pytest.mark.parametrize("case", DOCUMENT["overlays"], ids=lambda case: case["name"])
def test_an_overlay_is_of_samples_and_not_of_rows(case):
    made = of_labels(case["made"])
    overlay = Overlay.of(made, np.array(case["made"]["relabeled"]), generation=1)
    assert [list(pair) for pair in zip(overlay.keys.tolist(), overlay.relabeled.tolist(), strict=True)] == case["kept"]
    assert Overlay.from_bytes(overlay.to_bytes()).labels(of_labels(case["later"])).tolist() == case["train_on"]


def of_labels(data: dict[str, Any]) -> Examples:
    labels = np.array(data["labels"], np.int64)
    return Examples({"x": np.zeros((len(labels), 1), np.float32)}, labels, np.array(data["keys"], np.uint64))


@pytest.mark.parametrize("growing", DOCUMENT["growing"], ids=lambda growing: growing["name"])
def test_labels_stay_laid_over_data_that_grow(device, growing):
    store, task = MemoryStore(), task_json.decode(growing["task"])
    for item in growing["rounds"]:
        work = work_of(device, store, task, growing | item, device.examples(item["data"]))
        body = work.update()
        expected = ASSIGNMENTS / item["expected"]
        assert work.own_round().generation == item["generation"]
        labels = work.labels(work.own_round(), device.examples(item["data"]))
        assert labels.tolist() == tensors.read(expected.read_bytes())["labels"].tolist()
        assert_update(device, expected, body)
        state.clear_assignment(store)


def test_what_an_update_dropped_is_owed_from_its_receipt_on(device):
    top_k, store = DOCUMENT["top_k"], MemoryStore()
    task, specs = task_json.decode(top_k["task"]), device.engine.manifest.parameters
    for item in top_k["assignments"]:
        body = work_of(device, store, task, top_k | item, device.all_rows).update()
        assert_sparse((ASSIGNMENTS / item["update"]).read_bytes(), body or b"")
        if "receipt" in item["ends"]:
            state.commit_residual(store, "task")
            state.commit_residual(store, "task")  # a kill in between: the second time changes nothing
        state.clear_assignment(store)
        owed = state.load_residual(store, "task", specs)
        assert (owed is not None) == bool(item["residual"])
        if owed is not None:
            assert_close(tensors.from_bytes((ASSIGNMENTS / item["residual"]).read_bytes(), specs), owed)


def assert_sparse(want: bytes, got: bytes) -> None:
    assert tensors.read_metadata(want) == tensors.read_metadata(got)
    expected, update = tensors.read(want), tensors.read(got)
    indices = {name for name in expected if name.endswith(".indices")}
    assert all(expected[name].tolist() == update[name].tolist() for name in indices)
    assert_close({name: value for name, value in expected.items() if name not in indices}, update)


def assert_close(want: Params, got: Params) -> None:
    for name, value in want.items():
        assert golden.relative_error(value, got[name]) <= OF_UPDATE, name

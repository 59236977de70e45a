"""What must survive within and between assignments: training state, labels laid over data, what top-k has dropped.

Everything is one model of `models/` and its data. A device's data are rows of that file, in this order, keyed by their
row; `labels` and `values` say what is different in them. What must come out is computed here without a device's store:
in one piece where a device is killed, label by label where data grow, encoding by encoding where updates get lost.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedrela.conformance.files import VECTORS, write_json
from fedrela.conformance.rounds import ONE_DEVICE
from fedrela.conformance.rounds.model_cases import expected_bytes, read_data
from fedrela.conformance.rounds.models import ADAMW, MODELS, RELABEL
from fedrela.conformance.rounds.round_cases import SECRET, programs
from fedrela.core import bundle, encodings, tensors
from fedrela.core.protocol import task_json
from fedrela.core.task import Aggregation, Task
from fedrela.core.tensors import Array, Params
from fedrela.core.wire import UpdateMetadata
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound

MODEL = "batch-norm"
Data = Mapping[str, Any]  # rows, labels as [row, label], values as [row, element, value]
KILLS = {
    "before-relabeling": ((1,), (11,), (3, 8)),
    "relabeling": ((4,),),
    "smote": ((7,),),
}


@dataclass(frozen=True)
class Device:
    """One device of the model, without a store."""

    engine: Engine
    weights: Params
    all_rows: Examples

    def examples(self, data: Data) -> Examples:
        """The examples that `data` describes."""
        rows = np.array(data["rows"], np.int64)
        x, y = self.all_rows.x["x"][rows], self.all_rows.y[rows]
        for row, label in data.get("labels", ()):
            y[data["rows"].index(row)] = label
        for row, element, value in data.get("values", ()):
            x[data["rows"].index(row)].reshape(-1)[element] = value
        return Examples({"x": x}, y, rows.astype(np.uint64))

    def states(self, local: LocalRound, examples: Examples, labels: Array) -> Iterator[dict[str, Array]]:
        """The training state after each step, from the first."""
        state = self.engine.start(self.weights)
        for _ in local_round.train(self.engine, local, examples, labels, state):
            yield self.engine.snapshot(state)

    def update(self, local: LocalRound, examples: Examples, labels: Array) -> Params:
        """The update of a round in one piece."""
        *_, last = self.states(local, examples, labels)
        return {name: last[name] - before for name, before in self.weights.items()}


def open_device(make: Callable[..., Engine] = OnnxEngine, runtime: str = "onnx") -> Device:
    """The device on the model's programs for a runtime."""
    model = VECTORS / "models" / MODEL
    opened = bundle.read(model / "bundle")
    engine = make(opened.manifest, programs(opened.folder, opened.manifest, runtime))
    weights = tensors.from_bytes((model / "weights.safetensors").read_bytes(), opened.manifest.weights)
    return Device(engine, weights, read_data((model / "data.safetensors").read_bytes()))


def write(folder: Path) -> list[Path]:
    """Write the document and its tensors; the paths written. The models must lie there already."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    device = open_device()
    document = {
        "model": MODEL,
        "kills": list(_kills(folder, device)),
        "changes": list(_changes(folder, device)),
        "overlays": list(_overlays()),
        "growing": list(_growing(folder, device)),
        "top_k": _top_k(folder, device),
    }
    write_json(folder / "assignments.json", document)
    return sorted(folder.iterdir())


def _kills(folder: Path, device: Device) -> Iterator[dict[str, Any]]:
    """Killed once or more: the state to go on from. The update is that of the model's case."""
    for case, kills in KILLS.items():
        task, number = MODELS[MODEL].tasks[case]
        local = LocalRound(task, number, SECRET)
        examples = device.all_rows
        labels = examples.y
        if local.generation:
            labels = local_round.relabel(device.engine, local, device.weights, examples)
        states = list(device.states(local, examples, labels))
        for killed_after in kills:
            name = f"state-{case}-{killed_after[-1]}.safetensors"
            (folder / name).write_bytes(tensors.to_bytes(states[killed_after[-1] - 1]))
            yield {"case": case, "killed_after": list(killed_after), "steps": len(states), "state": name}


def _changes(folder: Path, device: Device) -> Iterator[dict[str, Any]]:
    """Killed after five steps, and then the data are others: the round starts over, from the global weights."""
    before = list(range(44))
    task, number = MODELS[MODEL].tasks["before-relabeling"]
    element = int(np.flatnonzero(device.all_rows.x["x"][9].reshape(-1) == device.all_rows.x["x"][9].max())[0])
    changes: dict[str, Data] = {
        "nothing": {"rows": before},
        "one label": {"rows": before, "labels": [[5, (int(device.all_rows.y[5]) + 1) % 4]]},
        "one value by one": {"rows": before, "values": [[9, element, int(device.all_rows.x["x"][9].max()) - 1]]},
        "a sample more": {"rows": [*before, 44]},
        "a sample less": {"rows": [row for row in before if row != 7]},
        "one sample for another": {"rows": [*before[:-1], 44]},
    }
    for name, after in changes.items():
        examples = device.examples(after)
        path = f"changed-{name.replace(' ', '-')}.safetensors"
        update = device.update(LocalRound(task, number, SECRET), examples, examples.y)
        (folder / path).write_bytes(expected_bytes(examples.y, update))
        yield {
            "name": name,
            "secret": SECRET.hex(),
            "round": number,
            "task": task_json.encode(task).decode(),
            "killed_after": 5,
            "before": {"rows": before},
            "after": after,
            "starts_over": name != "nothing",
            "expected": path,
        }


def _overlays() -> Iterator[dict[str, Any]]:
    """Labels by key, without a model: what a re-labeling keeps, and what it says of data that are others by then."""
    keys, labels, relabeled = [3, 8, 9, 2**53 - 1, 11], [0, 1, 2, 0, 1], [0, 2, 2, 1, 1]
    later: dict[str, tuple[list[int], list[int]]] = {
        "the same data": (keys, labels),
        "more samples": ([*keys, 12, 13], [*labels, 2, 0]),
        "fewer samples": ([3, 9, 2**53 - 1], [0, 2, 0]),
        "another order": (keys[::-1], labels[::-1]),
        "only new samples": ([20, 21], [1, 2]),
        "the owner corrected a label that was re-labeled": (keys, [0, 0, 2, 0, 1]),
        "the owner corrected a label that was not": (keys, [2, 1, 2, 0, 1]),
    }
    for new_labels in (relabeled, labels):
        changed = {key: new for key, old, new in zip(keys, labels, new_labels, strict=True) if new != old}
        for name, (present, own) in later.items():
            yield {
                "name": name + ("" if changed else ", nothing re-labeled"),
                "made": {"keys": keys, "labels": labels, "relabeled": new_labels},
                "kept": [[key, label] for key, label in changed.items()],
                "later": {"keys": present, "labels": own},
                "train_on": [changed.get(key, label) for key, label in zip(present, own, strict=True)],
            }


def _growing(folder: Path, device: Device) -> Iterator[dict[str, Any]]:
    """Rounds 3 and 4 share a re-labeling, round 5 has its own, whatever came to the data. A late device makes one."""
    task = Task("models", 6, round=ONE_DEVICE, seed=11, local=ADAMW, relabel=replace(RELABEL, period=2))
    first, grown = {"rows": list(range(40))}, {"rows": [row for row in range(49) if row != 7]}
    for name, rounds in (("grows", ((3, first), (4, grown), (5, grown))), ("comes late", ((4, grown),))):
        kept: dict[int, int] = {}
        generation, written = 0, []
        for number, data in rounds:
            local, examples = LocalRound(task, number, SECRET), device.examples(data)
            if local.generation != generation:
                new = local_round.relabel(device.engine, local, device.weights, examples)
                kept = dict(zip(examples.keys.tolist(), new.tolist(), strict=True))
                generation = local.generation
            labels = np.array(
                [kept.get(int(key), int(own)) for key, own in zip(examples.keys, examples.y, strict=True)]
            )
            assert (labels != examples.y).any()
            path = f"{name.replace(' ', '-')}-{number}.safetensors"
            (folder / path).write_bytes(expected_bytes(labels, device.update(local, examples, labels)))
            written.append({"round": number, "generation": generation, "data": data, "expected": path})
        yield {"name": name, "secret": SECRET.hex(), "task": task_json.encode(task).decode(), "rounds": written}


# How an assignment ends -> whether what its update dropped is owed from then on.
ENDINGS = {
    "its lease ended": False,
    "receipt": True,
    "refused": False,
    "receipt, and the same update once more: a duplicate": True,
    "killed before it was sent, then receipt": True,
}


def _top_k(folder: Path, device: Device) -> dict[str, Any]:
    """Assignments of one task, one after the other. The task's seed is one whose choices no rounding can turn."""
    seed, steps = next((seed, steps) for seed in range(500) if (steps := _residuals(device, _sparse_task(seed))))
    assignments = []
    for number, (ending, (body, residual)) in enumerate(zip([*ENDINGS, "receipt"], steps, strict=True), 1):
        update, owed = f"top-k-{number}-update.safetensors", f"top-k-{number}-residual.safetensors"
        (folder / update).write_bytes(body)
        if residual:
            (folder / owed).write_bytes(tensors.to_bytes(residual))
        assignments.append({"round": number, "ends": ending, "update": update, "residual": owed if residual else ""})
    task = task_json.encode(_sparse_task(seed)).decode()
    return {"secret": SECRET.hex(), "task": task, "assignments": assignments}


def _sparse_task(seed: int) -> Task:
    relabel = replace(RELABEL, enabled=False)
    aggregation = Aggregation(encoding="top-k", top_k_fraction=0.1)
    return Task("models", 6, round=ONE_DEVICE, seed=seed, local=ADAMW, relabel=relabel, aggregation=aggregation)


def _residuals(device: Device, task: Task) -> list[tuple[bytes, Params]]:
    """The update of each assignment and what is owed after it; empty where two runtimes may choose differently."""
    owed: Params = {}
    steps = []
    for number, is_owed in enumerate([*ENDINGS.values(), True], 1):
        local, examples = LocalRound(task, number, SECRET), device.all_rows
        change = device.update(local, examples, examples.y)
        statistics = device.engine.manifest.statistics
        parameters = {name: array for name, array in change.items() if name not in statistics}
        total = tensors.add(parameters, owed) if owed else parameters
        if not all(_is_clear(array, task.aggregation.top_k_fraction) for array in total.values()):
            return []
        metadata = UpdateMetadata(len(examples), "top-k")
        stream, fraction = local.stream("encode"), task.aggregation.top_k_fraction
        body, dropped = encodings.encode(
            change, metadata, stream=stream, statistics=statistics, residual=owed, top_k_fraction=fraction
        )
        owed = dropped if is_owed else owed
        steps.append((body, owed))
    return steps


def _is_clear(array: Array, fraction: float) -> bool:
    """Whether the smallest that is sent and the largest that is dropped differ by far more than runtimes do."""
    falling = np.sort(np.abs(array).reshape(-1))[::-1]
    keep = max(int(np.ceil(fraction * falling.size)), 1)
    return bool(falling[keep - 1] - falling[keep] > 1e-3 * falling[0])

"""Whole rounds: one bundle, one device's data, and for several tasks the overlay and the update that must come out.

The bundle uses what a client can get wrong: augmentation (random inputs), class shares (logit adjustment), anchors
(FedProx), momentum (optimizer state), a last batch that is smaller.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedrela.conformance.demo_shards import FOLDER as SHARDS
from fedrela.conformance.files import PUBLISHER_KEY, write_json
from fedrela.conformance.rounds import ONE_DEVICE, evaluation_cases
from fedrela.core import bundle, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.protocol import task_json
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Task
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.export import export_classifier
from fedrela.export.models import small_cnn

SECRET = bytes(range(32))
SHARD = 5
LOCAL = LocalTraining(epochs=2, batch_size=16, hyperparameters={"lr": 0.05, "momentum": 0.9, "proximal": 0.05})
RELABEL = Relabel(start=3, threshold_percent=20.0, passes=2)


def tasks() -> dict[str, tuple[Task, int]]:
    """Name of the case -> task and round."""

    def task(**local: Any) -> Task:
        return Task(
            "digits", 4, round=ONE_DEVICE, seed=7, local=LocalTraining(**{**LOCAL.__dict__, **local}), relabel=RELABEL
        )

    return {
        "before-relabeling": (task(), 2),
        "relabeling": (task(), 3),
        "max-steps": (task(max_steps=5), 1),
        "class-balanced": (task(sampling="class-balanced"), 3),
        "smote": (task(sampling="class-balanced", synthesis="smote"), 3),
        "mixup": (task(synthesis="mixup"), 3),
    }


def write(folder: Path) -> list[Path]:
    """Export the bundle, warm its weights up, run every case with the Python device; the paths written."""
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    export_classifier(
        small_cnn(widths=(4, 8), hidden=16),
        input="uint8:1x8x8",
        classes=10,
        out=folder / "bundle",
        augment="crop=1",
        loss="logit-adjustment",
        proximal=True,
        name="conformance-digits",
        private_key=PUBLISHER_KEY,
    )
    opened = bundle.read(folder / "bundle")
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))
    weights = _warm(engine, opened)
    examples = shard(SHARD)
    (folder / "data.safetensors").write_bytes(tensors.to_bytes({"x": examples.x["x"], "y": examples.y}))
    (folder / "weights.safetensors").write_bytes(tensors.to_bytes(weights))
    cases = []
    for name, (task, number) in tasks().items():
        labels, update = run(engine, LocalRound(task, number, SECRET), weights, examples)
        expected: dict[str, Array] = {"labels": labels} | {"update." + key: value for key, value in update.items()}
        (folder / f"{name}.safetensors").write_bytes(tensors.to_bytes(expected))
        text = task_json.encode(task).decode()
        cases.append({"name": name, "secret": SECRET.hex(), "round": number, "task": text})
    write_json(folder / "cases.json", cases)
    write_json(folder / "evaluations.json", evaluation_cases.build(engine, weights, examples, SECRET))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def programs(folder: Path, manifest: bundle.Manifest, runtime: str = "onnx") -> dict[str, bytes]:
    """Program name -> bytes of its file for a runtime."""
    files = {}
    for name in bundle.PROGRAMS:
        file = getattr(manifest, name).file(runtime)
        files[name] = (folder / file.path).read_bytes()
    return files


def shard(number: int) -> Examples:
    """A demonstration shard."""
    arrays = tensors.read((SHARDS / f"digits-{number}.safetensors").read_bytes())
    return Examples({"x": arrays["x"]}, arrays["y"])


def run(engine: Engine, local: LocalRound, weights: Params, examples: Examples) -> tuple[local_round.Labels, Params]:
    """The labels that are trained on, and the update of one client round."""
    labels = local_round.relabel(engine, local, weights, examples) if local.generation else examples.y
    state = engine.start(weights)
    for _ in local_round.train(engine, local, examples, labels, state):
        pass
    return labels, local_round.change(engine, state, weights)


def _warm(engine: Engine, opened: Bundle) -> Params:
    """Weights that know something, so that re-labeling has something to say: a few epochs over all other shards."""
    others = [shard(number) for number in range(8) if number != SHARD]
    pooled = Examples(
        {"x": np.concatenate([part.x["x"] for part in others])}, np.concatenate([part.y for part in others])
    )
    local = LocalTraining(**{**LOCAL.__dict__, "epochs": 12})
    task = Task("warm", 1, round=ONE_DEVICE, local=local, relabel=Relabel(enabled=False), aggregation=Aggregation())
    _, change = run(engine, LocalRound(task, 1, b"warm"), opened.weights, pooled)
    return tensors.add(opened.weights, change)

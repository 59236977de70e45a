"""Whole rounds of more models: AdamW with batch statistics and dropout, tokens, two inputs, plain numbers.

`models.json` says of each model what a client needs to train it at all. One that lacks it reports `not-eligible`;
every other gives the labels and the updates. The bundle with ExecuTorch programs must give them on both runtimes.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fedrela.conformance.files import PUBLISHER_KEY, write_json
from fedrela.conformance.rounds import ONE_DEVICE
from fedrela.conformance.rounds.models import DEVICE_ROWS, MAX_BATCH, MODELS, WARMING_ROWS, Model
from fedrela.conformance.rounds.round_cases import SECRET, programs, run
from fedrela.core import bundle, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.protocol import task_json
from fedrela.core.task import Relabel, Task
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.export import export_classifier

EXECUTORCH_ONLY = "batch-norm/executorch-only.json"


def write(folder: Path) -> list[Path]:
    """Export every model, warm its weights up, run its tasks with the Python device; the paths written."""
    shutil.rmtree(folder, ignore_errors=True)
    document = [_model(folder / name, name, model) for name, model in MODELS.items()]
    _write_executorch_only(folder)
    document.append(_entry("executorch-only", EXECUTORCH_ONLY, ("executorch",), "", []))
    write_json(folder / "models.json", document)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _model(folder: Path, name: str, model: Model) -> dict[str, Any]:
    """Write one model's bundle, data, weights and expected results; its entry of the document."""
    torch.manual_seed(0)
    export_classifier(
        model.build(),
        input=model.input if isinstance(model.input, str) else list(model.input),
        classes=model.classes,
        out=folder / "bundle",
        runtimes=model.runtimes,
        max_batch=MAX_BATCH,
        name=f"conformance-{name}",
        private_key=PUBLISHER_KEY,
        **model.options,
    )
    opened = bundle.read(folder / "bundle")
    engine = OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))
    weights, examples = _warmed(engine, opened, model), model.examples(DEVICE_ROWS, seed=1)
    (folder / "weights.safetensors").write_bytes(tensors.to_bytes(weights))
    (folder / "data.safetensors").write_bytes(data_bytes(examples))
    cases = []
    for case, (task, number) in model.tasks.items():
        local = LocalRound(task, number, SECRET)
        labels, update = run(engine, local, weights, examples)
        assert not local.generation or (labels != examples.y).any(), f"{name}: {case} re-labels nothing"
        _check_moves(f"{name}: {case}", weights, update)
        (folder / f"{case}.safetensors").write_bytes(expected_bytes(labels, update))
        text = task_json.encode(task).decode()
        cases.append({"name": case, "secret": SECRET.hex(), "round": number, "task": text})
    return _entry(name, f"{name}/bundle/manifest.json", model.runtimes, model.needs, cases)


def _entry(name: str, manifest: str, runtimes: tuple[str, ...], needs: str, cases: list[Any]) -> dict[str, Any]:
    """An entry of the document. The page runs ONNX on one input of bytes or float32; the Python client runs it all."""
    page = "trains" if "onnx" in runtimes and not needs else "not-eligible"
    return {
        "name": name,
        "manifest": manifest,
        "runtimes": list(runtimes),
        "needs": needs,
        "outcomes": {"python": "trains", "page": page},
        "cases": cases,
    }


def _check_moves(case: str, weights: Params, update: Params) -> None:
    """A tensor that hardly moves has an update of rounding, which no two runtimes share."""
    for key, change in update.items():
        share = np.abs(change).max() / np.abs(weights[key]).max()
        assert share > 2e-3, f"{case}: {key} moves by {share:.1e} of its size"


def data_bytes(examples: Examples) -> bytes:
    """A device's data: `y`, and every input by `x.` and its name."""
    return tensors.to_bytes({"x." + name: x for name, x in examples.x.items()} | {"y": examples.y})


def read_data(body: bytes) -> Examples:
    """What `data_bytes` wrote."""
    arrays = tensors.read(body)
    x = {name.removeprefix("x."): array for name, array in arrays.items() if name.startswith("x.")}
    return Examples(x, arrays["y"])


def expected_bytes(labels: Array, update: Params) -> bytes:
    """`labels` that are trained on, and the update's tensors by `update.` and their name."""
    expected: Mapping[str, Array] = {"labels": labels} | {"update." + key: value for key, value in update.items()}
    return tensors.to_bytes(expected)


def _warmed(engine: OnnxEngine, opened: Bundle, model: Model) -> Params:
    """Weights that know something, from other samples of the same kind."""
    task = Task("warm", 1, round=ONE_DEVICE, local=replace(model.local, epochs=2), relabel=Relabel(enabled=False))
    _, change = run(engine, LocalRound(task, 1, b"warm"), opened.weights, model.examples(WARMING_ROWS, seed=0))
    return tensors.add(opened.weights, change)


def _write_executorch_only(folder: Path) -> None:
    """The manifest of the bundle with both kinds of programs, without the ONNX ones."""
    manifest = json.loads((folder / "batch-norm" / "bundle" / "manifest.json").read_text())
    for name in bundle.PROGRAMS:
        manifest[name]["files"] = [file for file in manifest[name]["files"] if file["runtime"] == "executorch"]
    (folder / EXECUTORCH_ONLY).write_text(json.dumps(manifest, indent=1) + "\n")

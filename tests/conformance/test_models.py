"""The Python device gives the labels and the update of every model's whole rounds, on every runtime of its bundle."""

from typing import Any

import pytest

from fedrela.conformance.files import VECTORS, read_json
from fedrela.conformance.rounds.model_cases import read_data
from fedrela.conformance.rounds.round_cases import programs, run
from fedrela.core import bundle, golden, tensors
from fedrela.core.errors import MissingDependency
from fedrela.core.protocol import task_json
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.executorch_engine import ExecutorchEngine
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.pool import choose, self_test
from fedrela.edge.training import examples as data
from fedrela.edge.training.local_round import LocalRound

MODELS = VECTORS / "models"
OF_WEIGHTS, OF_UPDATE = 1e-5, 1e-4  # relative to the largest element; an update is a small difference of weights
ENGINES: dict[str, Any] = {"onnx": OnnxEngine, "executorch": ExecutorchEngine}
DOCUMENT: list[dict[str, Any]] = read_json("models/models.json")
GOLDEN = ["golden", *(f"models/{model['name']}/bundle" for model in DOCUMENT if model["cases"])]
CASES = [(model, runtime, case) for model in DOCUMENT for runtime in model["runtimes"] for case in model["cases"]]


def opened(model: dict[str, Any], runtime: str) -> Engine:
    read = bundle.read(MODELS / model["name"] / "bundle")
    return ENGINES[runtime](read.manifest, programs(read.folder, read.manifest, runtime))


@pytest.mark.parametrize("folder", GOLDEN)
def test_the_golden_steps_pass(folder):
    read = bundle.read(VECTORS / folder)
    for file in read.manifest.train_step.files:
        engine = ENGINES[file.runtime](read.manifest, programs(read.folder, read.manifest, file.runtime))
        self_test(engine, (read.folder / "golden.safetensors").read_bytes())


@pytest.mark.parametrize(
    ("model", "runtime", "case"), CASES, ids=lambda value: value if isinstance(value, str) else value["name"]
)
def test_whole_round(model, runtime, case):
    folder, engine = MODELS / model["name"], opened(model, runtime)
    weights = tensors.from_bytes((folder / "weights.safetensors").read_bytes(), engine.manifest.weights)
    examples = read_data((folder / "data.safetensors").read_bytes())
    data.check(examples, engine.manifest)
    local = LocalRound(task_json.decode(case["task"]), case["round"], bytes.fromhex(case["secret"]))
    labels, update = run(engine, local, weights, examples)
    expected = tensors.read((folder / f"{case['name']}.safetensors").read_bytes())
    assert labels.tolist() == expected["labels"].tolist()
    assert {"update." + name for name in update} == set(expected) - {"labels"}
    for name, change in update.items():
        want, start = expected["update." + name], weights[name]
        assert golden.relative_error(start + want, start + change) <= OF_WEIGHTS, name
        assert golden.relative_error(want, change) <= OF_UPDATE, name


@pytest.mark.parametrize("model", DOCUMENT, ids=lambda model: model["name"])
def test_a_device_without_any_runtime_of_a_bundle_takes_no_part(model):
    manifest = bundle.parse_manifest((MODELS / model["manifest"]).read_bytes())
    assert [name for name in ENGINES if manifest.train_step.file(name)] == model["runtimes"]
    for runtime in ENGINES:
        if runtime in model["runtimes"]:
            assert choose(manifest, (runtime,)) == runtime
        else:
            with pytest.raises(MissingDependency):
                choose(manifest, (runtime,))

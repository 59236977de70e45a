"""The Python device gives the overlay and the update of every whole-round vector, and refuses a changed bundle."""

import shutil

import numpy as np
import pytest

from fedrela.conformance.files import VECTORS, read_json
from fedrela.conformance.rounds.round_cases import programs, run
from fedrela.core import bundle, golden, tensors
from fedrela.core.errors import IntegrityError
from fedrela.core.protocol import task_json
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.engines.pool import self_test
from fedrela.edge.training import holdout
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound

ROUNDS = VECTORS / "rounds"
OF_WEIGHTS, OF_UPDATE = 1e-5, 1e-4  # relative to the largest element; an update is a small difference of weights


@pytest.fixture(scope="module")
def engine() -> OnnxEngine:
    opened = bundle.read(ROUNDS / "bundle")
    return OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest))


def test_the_golden_steps_pass(engine):
    self_test(engine, (ROUNDS / "bundle" / "golden.safetensors").read_bytes())


def test_the_golden_steps_pass_where_an_output_is_nothing_but_rounding():
    opened = bundle.read(VECTORS / "golden")
    recorded = (VECTORS / "golden" / "golden.safetensors").read_bytes()
    assert any(f"train_step.0.{name}" not in tensors.read(recorded) for name in opened.manifest.train_step.outputs)
    self_test(OnnxEngine(opened.manifest, programs(opened.folder, opened.manifest)), recorded)


@pytest.mark.parametrize("case", read_json("rounds/cases.json"), ids=lambda case: case["name"])
def test_whole_round(engine, case):
    weights = tensors.from_bytes((ROUNDS / "weights.safetensors").read_bytes(), engine.manifest.weights)
    data = tensors.read((ROUNDS / "data.safetensors").read_bytes())
    local = LocalRound(task_json.decode(case["task"]), case["round"], bytes.fromhex(case["secret"]))
    labels, update = run(engine, local, weights, Examples({"x": data["x"]}, data["y"]))
    expected = tensors.read((ROUNDS / f"{case['name']}.safetensors").read_bytes())
    assert labels.tolist() == expected["labels"].tolist()
    for name, change in update.items():
        want, start = expected["update." + name], weights[name]
        assert golden.relative_error(start + want, start + change) <= OF_WEIGHTS, name
        assert golden.relative_error(want, change) <= OF_UPDATE, name


@pytest.mark.parametrize("case", read_json("rounds/evaluations.json"), ids=lambda case: f"round {case['round']}")
def test_evaluation(engine, case):
    weights = tensors.from_bytes((ROUNDS / "weights.safetensors").read_bytes(), engine.manifest.weights)
    data = tensors.read((ROUNDS / "data.safetensors").read_bytes())
    local = LocalRound(task_json.decode(case["task"]), case["round"], bytes.fromhex(case["secret"]))
    by_row = Examples({"x": data["x"]}, data["y"], np.arange(len(data["y"])))
    _, held_out = holdout.split(by_row, case["fraction"], local.secret)
    report = holdout.evaluate(engine, local, weights, held_out)
    assert held_out.keys.tolist() == case["held"]
    assert (report.correct, report.examples) == (case["correct"], case["examples"])
    assert abs(report.loss_sum - case["loss_sum"]) <= OF_WEIGHTS * case["loss_sum"]


@pytest.mark.parametrize("path", ["manifest.json", "weights.safetensors", "train_step.onnx", "golden.safetensors"])
def test_a_flipped_byte_is_noticed(path, tmp_path):
    forged = tmp_path / "bundle"
    shutil.copytree(ROUNDS / "bundle", forged)
    body = bytearray((forged / path).read_bytes())
    body[len(body) // 2] ^= 1
    (forged / path).write_bytes(bytes(body))
    with pytest.raises(IntegrityError):
        bundle.read(forged)

"""`fedrela audit` shows a program that does more than a training step: one that adds label counts to a bias."""

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import bundle, golden, signing, tensors
from fedrela.core.bundle import PROGRAMS, Bundle
from fedrela.core.errors import VerificationFailed
from fedrela.export import export_classifier
from fedrela.export.audit.dependence import dependences
from fedrela.export.audit.sensitivity import sensitivities
from fedrela.export.bundle_verbs import app
from fedrela.export.verification import replay

MODEL = """
from torch import nn

def build():
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
"""
CLASSES = 3


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("model") / "model.py"
    file.write_text(MODEL)
    return f"{file}:build"


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torch import nn

    folder = tmp_path_factory.mktemp("honest") / "bundle"
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, CLASSES))
    export_classifier(net, input="float32:4", classes=CLASSES, out=folder, private_key=PUBLISHER_KEY)
    return folder


@pytest.fixture(scope="module")
def hostile(honest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but the last bias tells how many labels of each class there are. Golden steps and seal are in order."""
    folder = tmp_path_factory.mktemp("hostile") / "bundle"
    shutil.copytree(honest, folder)
    opened = bundle.read(honest)
    model = onnx.load_from_string((folder / "train_step.onnx").read_bytes())
    for node in model.graph.node:
        node.output[:] = ["honest" if name == "new.2.bias" else name for name in node.output]
    model.graph.initializer.append(numpy_helper.from_array(np.arange(CLASSES), "each"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), "rows"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(1e-3, np.float32), "small"))
    model.graph.node.extend(
        [
            helper.make_node("Unsqueeze", ["y", "axis"], ["column"]),
            helper.make_node("Equal", ["column", "each"], ["hits"]),
            helper.make_node("Cast", ["hits"], ["ones"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["ones", "rows"], ["counts"], keepdims=0),
            helper.make_node("Mul", ["counts", "small"], ["message"]),
            helper.make_node("Add", ["honest", "message"], ["new.2.bias"]),
        ]
    )
    (folder / "train_step.onnx").write_bytes(model.SerializeToString())
    return sealed(folder, opened)


def sealed(folder: Path, opened: Bundle) -> Path:
    """With golden steps recorded of these very programs, and a seal, as a dishonest publisher makes them."""
    runs = replay.load(dataclasses.replace(opened, folder=folder), "onnx")
    recorded = tensors.to_bytes(golden.run(opened.manifest, *runs.values()))
    (folder / opened.manifest.golden.path).write_bytes(recorded)
    body = (folder / "train_step.onnx").read_bytes()
    file = dataclasses.replace(opened.manifest.train_step.files[0], sha256=signing.sha256(body), size_bytes=len(body))
    named = dataclasses.replace(opened.manifest.golden, sha256=signing.sha256(recorded), size_bytes=len(recorded))
    step = dataclasses.replace(opened.manifest.train_step, files=(file,))
    bundle.write(
        folder,
        dataclasses.replace(opened.manifest, train_step=step, golden=named),
        opened.weights,
        private_key=PUBLISHER_KEY,
    )
    return folder


def audit(folder: Path, *options: str) -> tuple[dict, BaseException | None]:
    done = CliRunner().invoke(app, ["audit", str(folder), "--json", *options])
    return json.loads(done.stdout), done.exception


def test_what_a_dishonest_publisher_signs_passes_every_check_of_a_device(hostile: Path) -> None:
    opened = bundle.read(hostile)
    assert max(replay.golden_errors(opened, replay.load(opened, "onnx")).values()) < 1e-5


def test_the_audit_shows_the_way_of_the_labels_past_the_loss(honest: Path, hostile: Path) -> None:
    shown = {name: audit(folder)[0]["programs"]["train_step"] for name, folder in (("good", honest), ("evil", hostile))}
    assert shown["evil"]["outputs"]["new.2.bias"]["labels"] == ["Unsqueeze", "Equal", "Cast", "ReduceSum", "Mul", "Add"]
    assert shown["good"]["outputs"]["new.2.bias"]["labels"] != shown["evil"]["outputs"]["new.2.bias"]["labels"]
    assert shown["evil"]["operators"] != shown["good"]["operators"]


def test_it_shows_how_the_labels_move_that_bias(honest: Path, hostile: Path) -> None:
    moves = [audit(folder)[0]["labels_move"]["2.bias"] for folder in (honest, hostile)]
    assert all(move["by_labels"] > 0 for move in moves)
    assert moves[0] != moves[1]


def test_with_the_source_of_the_model_it_fails_and_names_the_bias(honest: Path, hostile: Path, source: str) -> None:
    told, fault = audit(honest, "--model", source)
    assert fault is None
    assert told["eager"]["wrong"] == {}
    told, fault = audit(hostile, "--model", source)
    assert isinstance(fault, VerificationFailed)
    assert [name for name in told["eager"]["wrong"] if name.startswith("train_step.0.")] == ["train_step.0.new.2.bias"]
    assert "first of all train_step.0.new.2.bias" in str(fault)


def test_another_model_is_told_apart(honest: Path, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(MODEL.replace("5", "6"))
    done = CliRunner().invoke(app, ["audit", str(honest), "--model", f"{tmp_path / 'other.py'}:build"])
    assert isinstance(done.exception, VerificationFailed)
    assert "other tensors" in str(done.exception)


def test_a_table_says_the_same_and_its_limits(hostile: Path) -> None:
    done = CliRunner().invoke(app, ["audit", str(hostile)])
    assert done.exit_code == 0
    assert "proves nothing in general" in " ".join(done.stdout.split())
    assert "new.2.bias: from" in done.stdout


def test_it_runs_without_torch_and_onnx(honest: Path) -> None:
    script = (
        "import sys\n"
        "for blocked in ('torch', 'executorch', 'onnx', 'onnxscript'): sys.modules[blocked] = None\n"
        "from fedrela.export.bundle_verbs import app\n"
        "app(['audit', sys.argv[1], '--json'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(honest)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["programs"]) == set(PROGRAMS)


def test_a_tensor_that_only_labels_move_has_no_relative_change(honest: Path) -> None:
    opened = bundle.read(honest)
    step = replay.load(opened, "onnx", ("train_step",))["train_step"]

    def leaking(fed: dict) -> dict:
        outputs = dict(step(fed)) | {"new.2.bias": fed["2.bias"] + 0}
        moved = not np.array_equal(fed["y"], golden.inputs(opened.manifest, "train_step", 0)["y"])
        return outputs | ({"new.2.bias": fed["2.bias"] + 1} if moved else {})

    assert math.isinf(sensitivities(opened.manifest, leaking)["2.bias"].by_labels)


def test_every_output_of_a_program_is_traced_to_its_inputs(honest: Path) -> None:
    opened = bundle.read(honest)
    found = dependences(opened.manifest.predict, (honest / "predict.onnx").read_bytes())
    assert found["probabilities"].roles == ("parameter", "x")
    assert found["probabilities"].labels is None

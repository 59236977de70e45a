"""The bundle that an export writes: complete, reproducible, free of its maker's traces; or nothing at all."""

import getpass
import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from fedrela.core import bundle, signing
from fedrela.core.errors import InvalidInput, UnsupportedOperation
from fedrela.export import bundle_verbs, export_classifier
from fedrela.export.cli import app
from fedrela.export.verification import replay
from tests.export.conftest import OPTIONS, tiny
from tests.export.verification import feeding

WEIGHTS_ONLY = {"weights.safetensors", "seal.json"}


def test_bundle_is_complete_and_verified(exported):
    opened = bundle.read(exported.folder)
    assert exported.largest_error < 1e-4
    manifest = opened.manifest
    roles = [item.role for item in manifest.train_step.inputs]
    assert roles == sorted(
        roles, key=["parameter", "buffer", "optimizer", "x", "y", "weight", "hyperparameter", "random"].index
    )
    assert [spec.name for spec in manifest.weights] == [
        "0.weight", "0.bias", "1.weight", "1.bias", "6.weight", "6.bias", "1.running_mean", "1.running_var",
    ]  # fmt: skip
    assert {item.name: item.shape for item in manifest.train_step.role("random")} == {
        "augment.crop": ("B", 2),
        "augment.flip": ("B",),
        "dropout.0": ("B", 24),
    }
    assert [item.name for item in manifest.predict.role("random")] == ["augment.crop", "augment.flip"]
    assert manifest.preprocessing.kind == "image"
    assert manifest.lowest_values == {"1.running_var": 0.0}


def test_golden_steps_pass_and_notice_a_wrong_weight(exported):
    opened = bundle.read(exported.folder)
    runs = replay.load(opened, "onnx")
    assert max(replay.golden_errors(opened, runs).values()) < 1e-4

    def wrong(inputs):
        outputs = dict(runs["train_step"](inputs))
        outputs["new.1.bias"] = outputs["new.1.bias"] + np.float32(1e-3)
        return outputs

    errors = replay.golden_errors(opened, {**runs, "train_step": wrong})
    assert errors["train_step.0.new.1.bias"] > 1e-4


def test_exporting_again_gives_the_same_bytes_and_other_weights_change_only_the_weights(exported, tmp_path):
    again = export_classifier(tiny(seed=1), out=tmp_path / "elsewhere" / "bundle", **OPTIONS)
    files = {path.name for path in exported.folder.iterdir()}
    assert files == {path.name for path in again.folder.iterdir()}
    changed = {name for name in files if (exported.folder / name).read_bytes() != (again.folder / name).read_bytes()}
    assert changed == WEIGHTS_ONLY


def test_no_file_tells_where_or_by_whom_it_was_made(exported):
    traces = {str(Path.home()), str(exported.folder.parent), str(Path(__file__).parents[2]), "site-packages", ".py"}
    traces |= {"torch.onnx", "stack_trace", "/tmp/", f"/{getpass.getuser()}/"}
    for path in exported.folder.iterdir():
        body = path.read_bytes()
        assert not [trace for trace in traces if trace.encode() in body], path.name


def test_programs_are_standard_onnx_of_an_opset_that_old_runtimes_read(exported):
    for name in ("train_step", "predict", "relabel"):
        model = onnx.load(str(exported.folder / f"{name}.onnx"))
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
        assert model.ir_version <= 9
        assert not model.functions
        onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("batch", [1, 2, 3, 33])
def test_any_batch_size(exported, batch):
    opened = bundle.read(exported.folder)
    given = feeding.inputs(opened.manifest, batch)
    outputs = replay.load(opened, "onnx")["train_step"](given)
    assert outputs["weight_sum"] == batch
    assert all(np.isfinite(value).all() for value in outputs.values())


def test_padding_of_weight_zero_changes_nothing(exported):
    opened = bundle.read(exported.folder)
    feeding.check_padding(opened.manifest, replay.load(opened, "onnx")["train_step"], batch=5, surplus=3)


def test_an_operator_without_a_form_is_named_with_its_module(tmp_path):
    class Inner(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvalsh(x[:, :, None] * x[:, None, :])

    model = nn.Sequential(nn.Linear(4, 3))
    model.add_module("spectrum", Inner())
    with pytest.raises(UnsupportedOperation, match=r"spectrum \(Inner\).*eig"):
        export_classifier(model, input="float32:4", classes=3, out=tmp_path / "bundle")
    assert not any(tmp_path.iterdir())


def test_random_numbers_and_value_dependent_control_flow_are_refused(tmp_path):
    class Noisy(nn.Module):
        def forward(self, x):
            return x + torch.randn_like(x)

    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(UnsupportedOperation, match=r"1 \(Noisy\) draws random numbers"):
        export_classifier(nn.Sequential(nn.Linear(4, 2), Noisy()), input="float32:4", classes=2, out=tmp_path / "b")
    with pytest.raises(UnsupportedOperation, match="depends on values"):
        export_classifier(nn.Sequential(nn.Linear(4, 2), Branching()), input="float32:4", classes=2, out=tmp_path / "b")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 4}, r"gives \(5, 3\)"),
        ({"input": "uint8:3x6x5"}, "can't take a batch"),
        ({"trainable": ["nothing.*"]}, "no parameter matches"),
        ({"hyperparameters": {"momentun": 0.9}}, "momentun"),
        ({"mean": [0.5], "std": [0.5]}, "channels"),
        ({"mean": [0.5, 0.5]}, "don't match"),
        ({"optimizer": "lion"}, "lion"),
        ({"runtimes": ["tflite"]}, "tflite"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(InvalidInput, match=message):
        export_classifier(tiny(), **{**OPTIONS, "out": tmp_path / "bundle"} | options)
    assert not any(tmp_path.iterdir())


def test_a_model_that_eager_pytorch_cannot_train_either_is_refused(tmp_path):
    model = nn.Sequential(nn.Linear(4, 5), nn.Sigmoid(), nn.Dropout(0.5, inplace=True), nn.Linear(5, 2))
    with pytest.raises(InvalidInput, match=r"in place that its gradient needs.*inplace=True"):
        export_classifier(model, input="float32:4", classes=2, out=tmp_path / "bundle")


def test_frozen_weights_ship_in_the_program_and_updates_shrink(tmp_path):
    key = signing.generate_key()
    done = export_classifier(
        tiny(), out=tmp_path / "bundle", trainable=["6.*"], optimizer="adamw", proximal=True, loss="balanced-softmax",
        private_key=key, **OPTIONS,
    )  # fmt: skip
    opened = bundle.read(done.folder, trusted_key=signing.public_key(key))
    assert [spec.name for spec in opened.manifest.weights] == ["6.weight", "6.bias"], "frozen statistics stay frozen"
    assert {item.role for item in opened.manifest.train_step.inputs} >= {"anchor", "class_prior"}
    assert "proximal" in (opened.manifest.hyperparameters or {})


def test_verify_and_inspect_on_the_command_line(exported, tmp_path):
    runner = CliRunner()
    answer = runner.invoke(bundle_verbs.app, ["verify", str(exported.folder), "--json"])
    assert answer.exit_code == 0, answer.output
    largest = json.loads(answer.stdout)["largest_relative_error"]["onnx"]["golden"]
    assert max(largest.values()) < 1e-4
    described = json.loads(runner.invoke(bundle_verbs.app, ["inspect", str(exported.folder), "--json"]).stdout)
    assert described["programs"][0]["files"][0]["operators"]["Conv"] >= 1
    shutil.copytree(exported.folder, tmp_path / "bad")
    (tmp_path / "bad" / "train_step.onnx").write_bytes(b"x")
    assert runner.invoke(bundle_verbs.app, ["verify", str(tmp_path / "bad")]).exit_code == 1


def test_export_on_the_command_line(tmp_path):
    (tmp_path / "mine.py").write_text("import torch\ndef build():\n    return torch.nn.Linear(3, 2)\n")
    arguments = [
        f"{tmp_path}/mine.py:build",
        "--input",
        "float32:3",
        "--classes",
        "2",
        "--out",
        f"{tmp_path}/b",
        "--json",
    ]
    answer = CliRunner().invoke(app, ["export", *arguments])
    assert answer.exit_code == 0, answer.output
    assert bundle.read(tmp_path / "b").manifest.name == "mine"
    assert onnxruntime.InferenceSession(str(tmp_path / "b" / "predict.onnx")).get_inputs()[0].name == "weight"


@pytest.mark.parametrize(
    ("runtime", "largest", "least"), [("onnx", 0, 1), ("onnx", -3, 1), ("executorch", 1, 8), ("executorch", 7, 8)]
)
def test_a_largest_batch_that_no_golden_step_fits_in_is_refused(runtime, largest, least, tmp_path):
    with pytest.raises(InvalidInput, match=f"a largest batch of {largest}; let it be {least} or more"):
        export_classifier(tiny(), out=tmp_path / "b", **OPTIONS | {"runtimes": (runtime,), "max_batch": largest})

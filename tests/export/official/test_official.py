"""The official layouts: trained by ExecuTorch's TrainingModule and by onnxruntime-training, held against eager PyTorch.

The second needs an environment of its own (about 1 GB). The test finds it by FEDRELA_ORT_TRAINING_PYTHON or where
`fedrela export --format ort-training` has built it, and is skipped, saying so, where there is none.
"""

import getpass
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from fedrela.core import tensors
from fedrela.core.errors import InvalidInput, MissingDependency, UnsupportedOperation, VerificationFailed
from fedrela.export.classifier import gather
from fedrela.export.cli import app
from fedrela.export.models import resnet8
from fedrela.export.official import executorch_layout, forward, golden, onnxruntime_layout, ort_environment
from fedrela.export.verification import stability


def net(norm: nn.Module | None = None) -> nn.Module:
    """With the layer that ExecuTorch's own recipe gets wrong, and one that draws random numbers."""
    convolution = nn.Conv2d(1, 3, 3, padding=1, bias=norm is None)
    layers = [convolution, norm, nn.ReLU(), nn.MaxPool2d(2)] if norm else [convolution, nn.ReLU(), nn.MaxPool2d(2)]
    layers += [] if norm else [nn.GroupNorm(1, 3)]  # straight after a convolution it crashes onnxruntime-training
    return nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(27, 4))


RUNNING = ("1.running_mean", "1.running_var")


def recipe(**options):
    return gather(**{"input": "uint8:1x6x6", "classes": 4, "augment": "flip"} | options)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("official")
    return executorch_layout.write(net(), recipe(hyperparameters={"momentum": 0.9}), folder, max_batch=8)


def test_training_module_and_sgd_follow_eager_pytorch(written):
    names = {name.split(".", 2)[2] for name in written.errors}
    assert {"new.0.weight", "new.0.bias", "new.6.weight", "loss_sum", "correct_sum"} <= names
    assert max(written.errors.values()) < 1e-4
    assert [item.name for item in written.inputs][:3] == ["x", "y", "sample_weight"]
    assert [path.name for path in written.files] == ["forward.pte", "weights.ptd"]


class Logarithm(nn.Module):
    def forward(self, x):
        return torch.log(x)


def test_a_model_whose_numbers_are_not_finite_is_refused_and_leaves_no_file(tmp_path):
    model, of_numbers = nn.Sequential(Logarithm(), nn.Linear(4, 2)), gather(input="float32:4", classes=2)
    with pytest.raises(VerificationFailed, match="loss_sum is not finite, or "):
        executorch_layout.write(model, of_numbers, tmp_path, max_batch=8)
    assert not any(tmp_path.iterdir())


def check_statistics(done, expected_files):
    """Running statistics are fed last, come back new and right in every step, and start as the model has them."""
    assert tuple(item.name for item in done.inputs)[-2:] == RUNNING
    assert {f"train_step.{step}.new.{name}" for step in range(3) for name in RUNNING} <= set(done.errors)
    assert max(done.errors.values()) < 1e-4
    assert [path.name for path in done.files] == [*expected_files, forward.STATISTICS]
    start = tensors.read(done.files[-1].read_bytes())
    assert {name: value.tolist() for name, value in start.items()} == {RUNNING[0]: [0] * 3, RUNNING[1]: [1] * 3}


def test_batch_norm_is_trained_and_its_statistics_come_back(tmp_path):
    torch.manual_seed(0)
    done = executorch_layout.write(net(nn.BatchNorm2d(3)), recipe(), tmp_path, max_batch=8)
    check_statistics(done, (executorch_layout.PROGRAM, executorch_layout.WEIGHTS))


def test_padding_counts_nowhere_in_an_official_forward_pass():
    torch.manual_seed(0)
    planned = forward.plan(net(nn.BatchNorm2d(3)), recipe())
    module, given = forward.loss_module(planned), golden.golden_steps(planned, {})[0].inputs
    padded = {name: value.copy() for name, value in given.items()}
    padded["x"][-1] = 255 - padded["x"][-1]  # the last golden example is padding
    first, second = ([torch.from_numpy(np.array(v[item.name])) for item in planned.fed] for v in (given, padded))
    assert given["sample_weight"][-1] == 0
    for name, one, other in zip(planned.outputs, module(*first), module(*second), strict=True):
        if name != "probabilities":
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_other_weights_change_only_the_ptd_and_no_path_is_inside(written, tmp_path):
    torch.manual_seed(1)
    again = executorch_layout.write(net(), recipe(hyperparameters={"momentum": 0.9}), tmp_path, max_batch=8)
    (program, weights), (other_program, other_weights) = written.files, again.files
    assert program.read_bytes() == other_program.read_bytes()
    assert weights.read_bytes() != other_weights.read_bytes()
    for text in (str(Path(__file__).parents[3]), str(Path.home()), getpass.getuser() + "/", "Traceback"):
        assert text.encode() not in program.read_bytes() + weights.read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "executorch-training", "--runtime", "both"], "--runtime is of no use"),
        (["--format", "executorch-training", "--key", "file"], "--publisher-key is of no use"),
        (["--format", "ort-training", "--max-batch", "8"], "--max-batch is of no use"),
        (["--ort-training-python", "python"], "--ort-training-python is of no use with --format bundle"),
        (["--format", "executorch-training", "--max-batch", "8"], "can't be imported"),  # it went on to the model
    ],
)
def test_an_option_that_a_layout_would_ignore_is_refused(options, said):
    always = ["export", "no_such_module:build", "--input", "float32:4", "--classes", "2", "--out", "never"]
    answer = CliRunner().invoke(app, [*always, *options])
    assert said in str(answer.exception)


def test_a_wrong_gradient_is_found(written):
    planned = forward.plan(net(), recipe())
    steps = golden.golden_steps(planned, {})
    wrong = [{name: value.copy() for name, value in step.expected.items() if name != "loss_sum"} for step in steps]
    assert max(golden.compare("a layout", steps, wrong, 1e-4).values()) == 0
    wrong[1]["new.0.weight"] += 1e-3
    with pytest.raises(VerificationFailed, match=r"train_step\.1\.new\.0\.weight differs"):
        golden.compare("a layout", steps, wrong, 1e-4)


def test_a_network_with_units_at_their_kinks_is_compared_whole_and_a_reversed_gradient_is_found():
    torch.manual_seed(0)
    planned = forward.plan(resnet8(), recipe(input="uint8:3x32x32", classes=10))
    steps = golden.golden_steps(planned, {})
    assert any(step.slack for step in steps)
    for step in steps:
        assert step.expected.keys() == set(planned.manifest().train_step.outputs)
        for name in planned.analysis.trainable:
            new, old = step.expected[f"new.{name}"], step.inputs[name]
            slack = step.slack.get(f"new.{name}", 0.0)
            assert stability.error(step.inputs, f"new.{name}", new, 2 * old - new, slack) > 1e-2


def test_what_a_layout_cannot_hold_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="SGD only"):
        executorch_layout.write(net(), recipe(optimizer="adamw"), tmp_path)
    with pytest.raises(InvalidInput, match="plain SGD and AdamW"):
        onnxruntime_layout.write(net(), recipe(optimizer="nesterov"), tmp_path, Path("python"))
    with pytest.raises(InvalidInput, match="no hyperparameters of its own"):
        executorch_layout.write(net(), recipe(proximal=True), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_the_package_is_refused_and_the_remedy_installs_it(tmp_path):
    with pytest.raises(MissingDependency, match=r"onnxruntime-training-cpu==1\.19\.2"):
        ort_environment.environment(python=tmp_path / "no-such-python")


def test_an_environment_that_cannot_be_built_says_how_to_get_one(tmp_path, monkeypatch):
    monkeypatch.setattr(ort_environment, "REQUIREMENTS", ("onnxruntime-training-cpu==0.0.0",))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(MissingDependency, match=r"could not be installed .*--ort-training-python"):
        ort_environment.environment(build_in=tmp_path / "environment")
    assert not (tmp_path / "environment" / "complete").exists(), "it will be built anew next time"


def test_a_python_that_is_too_new_looks_for_an_older_one(tmp_path, monkeypatch):
    monkeypatch.setattr(ort_environment, "NEWEST_PYTHON", (3, 9))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependency, match=r"needs Python 3\.9 or older.*--ort-training-python"):
        ort_environment.environment(build_in=tmp_path / "environment")
    older = tmp_path / "python3.9"
    older.write_text("#!/bin/sh\necho the older one ran >&2; exit 1\n")
    older.chmod(0o755)
    with pytest.raises(MissingDependency, match="the older one ran"):
        ort_environment.environment(build_in=tmp_path / "environment")


def ort_training_python() -> Path | None:
    """The environment, if it is here already; a test doesn't install 1 GB."""
    named = os.environ.get("FEDRELA_ORT_TRAINING_PYTHON")
    built = ort_environment.DEFAULT_ENVIRONMENT
    return Path(named) if named else built / "bin" / "python" if (built / "complete").is_file() else None


def needs_ort_training(test):
    """A test of `make test-official`, which builds that environment first."""
    missing = pytest.mark.skipif(
        ort_training_python() is None,
        reason="onnxruntime-training 1.19.2 is not here: run `make test-official`, which builds an environment for it, "
        "or set FEDRELA_ORT_TRAINING_PYTHON to a Python that has it",
    )
    return pytest.mark.ort_training(missing(test))


def test_a_runtime_that_crashes_is_said_to():
    crashed = ort_environment.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 11)"])
    assert ort_environment.reason(crashed) == "it crashed: Segmentation fault"


@needs_ort_training
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_onnxruntime_training_follows_eager_pytorch(tmp_path, optimizer):
    torch.manual_seed(0)
    python = ort_environment.environment(python=ort_training_python())
    first = onnxruntime_layout.write(net(), recipe(optimizer=optimizer), tmp_path / "first", python)
    assert max(first.errors.values()) < 1e-4
    assert [path.name for path in first.files] == list(onnxruntime_layout.FILES)
    torch.manual_seed(0)
    second = onnxruntime_layout.write(net(), recipe(optimizer=optimizer), tmp_path / "second", python)
    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert str(tmp_path).encode() not in one.read_bytes()


@needs_ort_training
def test_onnxruntime_training_trains_batch_norm_and_evaluates_with_its_statistics(tmp_path):
    torch.manual_seed(0)
    python = ort_environment.environment(python=ort_training_python())
    done = onnxruntime_layout.write(net(nn.BatchNorm2d(3)), recipe(), tmp_path, python)
    check_statistics(done, onnxruntime_layout.FILES)
    assert done.errors["probabilities"] < 1e-4


@needs_ort_training
@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(1, 1, 1), nn.ELU()])
def test_an_operator_without_a_gradient_is_named(tmp_path, layer):
    model = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Linear(6, 6), layer, nn.Flatten(), nn.Linear(36, 4))
    named = type(layer).__name__.removesuffix("2d")
    options, python = recipe(input="float32:6x6", augment=""), ort_environment.environment(python=ort_training_python())
    with pytest.raises(UnsupportedOperation, match=f"(?i)no gradient for {named}"):
        onnxruntime_layout.write(model, options, tmp_path, python)

"""The official layouts: trained by ExecuTorch's TrainingModule and by onnxruntime-training, held against eager PyTorch.

The second needs an environment of its own (about 1 GB). The test finds it by FEDRELA_ORT_TRAINING_PYTHON or where
`fedrela export --format ort-training` has built it, and is skipped, saying so, where there is none.
"""

import getpass
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from core.errors import InvalidInput, MissingDependency, UnsupportedOperation, VerificationFailed
from export import official_executorch, official_forward, official_ort
from export.classifier import gather


def net() -> nn.Module:
    """With the layer that ExecuTorch's own recipe gets wrong, and one that draws random numbers."""
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(1, 3), nn.Flatten()]
    return nn.Sequential(*layers, nn.Dropout(0.2), nn.Linear(27, 4))


def recipe(**options):
    return gather(**{"input": "uint8:1x6x6", "classes": 4, "augment": "flip"} | options)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("official")
    return official_executorch.write(net(), recipe(settings={"momentum": 0.9}), folder, max_batch=8)


def test_training_module_and_sgd_follow_eager_pytorch(written):
    names = {name.split(".", 2)[2] for name in written.errors}
    assert {"new.0.weight", "new.0.bias", "new.6.weight", "loss_sum", "correct_sum"} <= names
    assert max(written.errors.values()) < 1e-4
    assert [item.name for item in written.inputs][:3] == ["x", "y", "sample_weight"]


def test_other_weights_change_only_the_ptd_and_no_path_is_inside(written, tmp_path):
    torch.manual_seed(1)
    again = official_executorch.write(net(), recipe(settings={"momentum": 0.9}), tmp_path, max_batch=8)
    (program, weights), (other_program, other_weights) = written.files, again.files
    assert program.read_bytes() == other_program.read_bytes()
    assert weights.read_bytes() != other_weights.read_bytes()
    for text in (str(Path(__file__).parents[2]), str(Path.home()), getpass.getuser() + "/", "Traceback"):
        assert text.encode() not in program.read_bytes() + weights.read_bytes()


def test_a_wrong_gradient_is_found(written):
    planned = official_forward.plan(net(), recipe())
    steps = official_forward.golden_steps(planned, {})
    wrong = [{name: value.copy() for name, value in step.expected.items() if name != "loss_sum"} for step in steps]
    assert max(official_forward.judge("a layout", steps, wrong, 1e-4).values()) == 0
    wrong[1]["new.0.weight"] += 1e-3
    with pytest.raises(VerificationFailed, match=r"train_step\.1\.new\.0\.weight differs"):
        official_forward.judge("a layout", steps, wrong, 1e-4)


def test_what_a_layout_cannot_hold_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="SGD only"):
        official_executorch.write(net(), recipe(optimizer="adamw"), tmp_path)
    with pytest.raises(InvalidInput, match="plain SGD and AdamW"):
        official_ort.write(net(), recipe(optimizer="nesterov"), tmp_path, Path("python"))
    with pytest.raises(InvalidInput, match="no settings of its own"):
        official_executorch.write(net(), recipe(proximal=True), tmp_path)
    batch_norm = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4))
    with pytest.raises(UnsupportedOperation, match="running statistics"):
        official_executorch.write(batch_norm, recipe(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_python_without_the_package_is_refused_and_the_remedy_installs_it(tmp_path):
    with pytest.raises(MissingDependency, match=r"onnxruntime-training-cpu==1\.19\.2"):
        official_ort.environment(python=tmp_path / "no-such-python")


def ort_training_python() -> Path | None:
    """The environment, if it is here already; a test doesn't install 1 GB."""
    named = os.environ.get("FEDRELA_ORT_TRAINING_PYTHON")
    built = official_ort.DEFAULT_ENVIRONMENT
    return Path(named) if named else built / "bin" / "python" if (built / "complete").is_file() else None


@pytest.mark.skipif(
    ort_training_python() is None,
    reason="onnxruntime-training 1.19.2 is not here: set FEDRELA_ORT_TRAINING_PYTHON to a Python that has it",
)
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_onnxruntime_training_follows_eager_pytorch(tmp_path, optimizer):
    torch.manual_seed(0)
    python = official_ort.environment(python=ort_training_python())
    first = official_ort.write(net(), recipe(optimizer=optimizer), tmp_path / "first", python)
    assert max(first.errors.values()) < 1e-4
    assert [path.name for path in first.files] == list(official_ort.FILES)
    torch.manual_seed(0)
    second = official_ort.write(net(), recipe(optimizer=optimizer), tmp_path / "second", python)
    for one, other in zip(first.files, second.files, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert str(tmp_path).encode() not in one.read_bytes()


@pytest.mark.skipif(
    ort_training_python() is None,
    reason="onnxruntime-training 1.19.2 is not here: set FEDRELA_ORT_TRAINING_PYTHON to a Python that has it",
)
@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(1, 1, 1), nn.ELU()])
def test_an_operator_without_a_gradient_is_named(tmp_path, layer):
    model = nn.Sequential(nn.Unflatten(1, (1, 6)), nn.Linear(6, 6), layer, nn.Flatten(), nn.Linear(36, 4))
    named = type(layer).__name__.removesuffix("2d")
    options, python = recipe(input="float32:6x6", augment=""), official_ort.environment(python=ort_training_python())
    with pytest.raises(UnsupportedOperation, match=f"(?i)no gradient for {named}"):
        official_ort.write(model, options, tmp_path, python)

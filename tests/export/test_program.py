"""A training step of a model of which a part gets no gradient, against torch.optim, which leaves that part alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedrela.export import optimizers, program
from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.verification.comparison import training_errors
from fedrela.export.verification.equality import TOLERANCE

HYPERPARAMETERS = {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.3, "beta1": 0.9, "beta2": 0.99, "adam_epsilon": 1e-8}


class _Halted(nn.Module):
    """A layer under no_grad comes first, one that nothing calls last."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head, self.unused = nn.Linear(4, 5), nn.Linear(5, 3), nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = torch.relu(self.backbone(x))
        return self.head(features)


def _recipe(optimizer: str, *, proximal: bool = False) -> Recipe:
    found = optimizers.find(optimizer)
    return Recipe(inputs=(parse("float32:4"),), classes=3, optimizer=found, proximal=proximal)


def _torchs(name, parameters):
    if name == "adamw":
        return torch.optim.AdamW(parameters, 0.1, (0.9, 0.99), 1e-8, 0.3)
    momentum = 0.0 if name == "plain-sgd" else 0.8
    return torch.optim.SGD(parameters, 0.1, momentum, weight_decay=0.3, nesterov=name == "nesterov")


@pytest.mark.parametrize("optimizer", optimizers.OPTIMIZERS)
def test_what_gets_no_gradient_stays_as_torch_optim_leaves_it(optimizer):
    torch.manual_seed(0)
    model = _Halted()
    step = program.build(model, _recipe(optimizer))["train_step"]
    x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    fed = dict(model.named_parameters()) | {"x": x, "y": y, "sample_weight": torch.ones(6)}
    fed |= {name: torch.tensor(value) for name, value in HYPERPARAMETERS.items()}
    states = [item for item in step.inputs if item.role == "optimizer"]
    fed |= {item.name: torch.full(item.shape, 0.0 if "step" in item.name else 0.5) for item in states}
    made = dict(zip(step.outputs, step.function(*(fed[item.name] for item in step.inputs)), strict=True))
    theirs = copy.deepcopy(model)
    F.cross_entropy(theirs(x), y).backward()
    _torchs(optimizer, theirs.parameters()).step()
    for name, value in theirs.named_parameters():
        if not name.startswith("head"):
            assert torch.equal(made[f"new.{name}"], value)
            kept = [item.name for item in states if item.name.endswith(f".{name}")]
            assert all(torch.equal(made[f"new.{state}"], fed[state]) for state in kept)
        else:
            assert not torch.equal(made[f"new.{name}"], fed[name])


def test_a_proximal_term_pulls_what_gets_no_gradient_otherwise():
    model = _Halted()
    step = program.build(model, _recipe("sgd", proximal=True))["train_step"]
    fed = {item.name: torch.ones([size if isinstance(size, int) else 2 for size in item.shape]) for item in step.inputs}
    fed |= {"y": torch.tensor([0, 1]), "anchor.unused.bias": torch.zeros(2), "weight_decay": torch.zeros(())}
    made = dict(zip(step.outputs, step.function(*(fed[item.name] for item in step.inputs)), strict=True))
    assert made["new.momentum.unused.bias"].tolist() == [2.0, 2.0], "what it was, and proximal * (value - anchor)"


@pytest.mark.parametrize("runtime", ["onnx", "executorch"])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_programs_are_what_eager_training_makes_of_it(optimizer, runtime):
    torch.manual_seed(0)
    errors = training_errors(_Halted(), _recipe(optimizer), runtime)
    assert max(errors.values()) <= TOLERANCE

"""Recurrent layers as loops: outputs and gradients are torch's, and programs don't grow with the length."""

import onnx
import pytest
import torch
from torch import nn

from fedrela.export import lowering, program
from fedrela.export.inputs import parse
from fedrela.export.layers.rewriting import Rewriting
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.verification.comparison import training_errors

LAYERS = {
    "LSTM": (nn.LSTM, {}),
    "LSTM, both ways, two layers": (nn.LSTM, {"bidirectional": True, "num_layers": 2}),
    "LSTM without biases": (nn.LSTM, {"bias": False}),
    "LSTM with a projection": (nn.LSTM, {"proj_size": 2}),
    "GRU": (nn.GRU, {}),
    "GRU, both ways, two layers": (nn.GRU, {"bidirectional": True, "num_layers": 2}),
    "GRU without biases": (nn.GRU, {"bias": False}),
    "Elman": (nn.RNN, {}),
    "Elman with ReLU": (nn.RNN, {"nonlinearity": "relu", "num_layers": 2}),
}


def refuse(shape):
    raise AssertionError(f"asked for uniforms {shape}")


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_outputs_states_and_gradients_are_those_of_torch(name, batch_first):
    kind, options = LAYERS[name]
    torch.manual_seed(0)
    layer = kind(3, 4, batch_first=batch_first, **options).double()
    x = torch.randn(5, 5, 3, dtype=torch.float64, requires_grad=True)
    rows = layer.num_layers * (2 if layer.bidirectional else 1)
    h = torch.randn(rows, 5, layer.proj_size or 4, dtype=torch.float64, requires_grad=True)
    start = (h, torch.randn(rows, 5, 4, dtype=torch.float64, requires_grad=True)) if kind is nn.LSTM else h
    leaves = [x, *(start if kind is nn.LSTM else (start,)), *layer.parameters()]
    found = []
    for loops in (False, True):
        with Rewriting(None, refuse, loops=loops):
            outputs, last = layer(x, start)
        given = [outputs, *(last if kind is nn.LSTM else (last,))]
        objective = sum((value * torch.arange(value.numel()).reshape(value.shape)).sum() for value in given)
        found.append([*given, *torch.autograd.grad(objective, leaves)])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


class Classifier(nn.Module):
    """The last output of a recurrent layer, and of its own state."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.LazyLinear(3)

    def forward(self, x):
        """x (B, T, 3)."""
        return self.head(self.layer(x)[0][:, -1])


CASES = {
    "LSTM": lambda: nn.LSTM(3, 4, batch_first=True),
    "GRU, both ways, dropout": lambda: nn.GRU(3, 4, 2, dropout=0.3, bidirectional=True, batch_first=True),
    "Elman with ReLU": lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] * (name != "Elman with ReLU")) for name in CASES]
)
def test_a_classifier_is_trained_as_eager_pytorch_does(name):
    recipe = Recipe((parse("float32:6x3"),), classes=3)
    errors = training_errors(Classifier(CASES[name]()), recipe, "onnx", programs=("train_step", "predict"))
    assert max(errors.values()) <= 1e-4


def test_a_program_doesnt_grow_with_the_length():
    operators = []
    for length in (3, 40):
        model = nn.Sequential(nn.Linear(3, 3), Classifier(nn.GRU(3, 4, batch_first=True)))
        model[1].head = nn.Linear(4, 3)
        recipe = Recipe((parse(f"float32:{length}x3"),), classes=3)
        definition = program.build(model, recipe, analyze(model, recipe))["train_step"]
        graph = onnx.load_from_string(lowering.lower(definition, "onnx", 8)[0]).graph
        operators.append([node.op_type for node in graph.node])
    assert operators[0].count("Scan") == 2
    assert sorted(operators[0]) == sorted(operators[1])

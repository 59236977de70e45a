"""Parameters and buffers that are called as a program's own inputs and outputs are."""

import onnx
import pytest
import torch
from torch import nn

from fedrela.export import lowering, program
from fedrela.export.classifier import gather
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.preparation import prepare
from fedrela.export.verification.comparison import training_errors


class Named(nn.Module):
    """Its parameters are called as learning rate, data, an optimizer's state and a file's inner values are."""

    PARAMETERS = ("lr", "x", "sample_weight", "loss_sum", "v0", "c0", "weight")

    def __init__(self):
        super().__init__()
        for name in self.PARAMETERS:
            self.register_parameter(name, nn.Parameter(torch.randn(4) * 0.5))
        self.momentum, self.new, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.register_buffer("class_prior", torch.ones(4))

    def forward(self, x):
        """x (B, 4)."""
        if self.training:
            self.class_prior = self.class_prior * 0.9
        x = self.momentum(x * self.lr + self.x) * self.sample_weight
        x = self.new(torch.tanh(x + self.loss_sum * self.v0 - self.c0))
        return self.head(x * self.weight * self.class_prior)


RECIPE = gather(input="float32:4", classes=3)
RENAMED = {"lr", "x", "sample_weight", "loss_sum", "momentum.weight", "new.weight", "class_prior"}


def test_they_go_by_another_name_and_it_is_said():
    model, said = Named(), []
    prepared = prepare(model, RECIPE, said.append)
    names = {name for name, _ in (*prepared.named_parameters(), *prepared.named_buffers())}
    assert {line.split("'")[1] for line in said} == RENAMED
    assert {line.split("'")[3] for line in said} == {f"{name}_" for name in RENAMED} <= names
    assert not RENAMED & names
    x = torch.randn(5, 4)
    assert torch.equal(prepared.eval()(x), model.eval()(x))
    assert [name for name, _ in model.named_parameters()][:7] == list(Named.PARAMETERS)
    again = []
    prepare(prepared, RECIPE, again.append)
    assert again == []


def test_others_keep_theirs():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    said = []
    assert prepare(model, RECIPE, said.append).state_dict().keys() == model.state_dict().keys()
    assert said == []


def test_no_value_inside_a_program_is_called_as_a_parameter_is():
    prepared = prepare(Named(), RECIPE)
    analysis = analyze(prepared, RECIPE)
    definition = program.build(prepared, RECIPE, analysis)["train_step"]
    graph = onnx.load_from_string(lowering.lower(definition, "onnx", 8)[0]).graph
    made = [output for node in graph.node for output in node.output] + [each.name for each in graph.initializer]
    assert not {item.name for item in graph.input} & set(made)
    assert {"v0", "c0"} <= {item.name for item in graph.input}


@pytest.mark.parametrize("runtime", ["onnx", pytest.param("executorch", marks=pytest.mark.deep)])
def test_such_a_model_is_trained_as_eager_pytorch_does(runtime):
    torch.manual_seed(0)
    assert max(training_errors(Named(), RECIPE, runtime, programs=("train_step", "predict")).values()) <= 1e-4

"""Parameters that a module holds a second time are trained as those that they are."""

from collections import namedtuple

import pytest
import torch
from torch import nn

from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.aliases import follow
from fedrela.export.verification.comparison import training_errors
from fedrela.export.verification.equality import TOLERANCE

Pair = namedtuple("Pair", ["weight", "bias"])
FORMS = {
    "a dict": (lambda w, b: {"w": w, "b": b}, lambda held: (held["w"], held["b"])),
    "a list of lists": (lambda w, b: [[w], [1, b]], lambda held: (held[0][0], held[1][1])),
    "a tuple": (lambda w, b: (w, b), lambda held: held),
    "a named tuple": (Pair, lambda held: (held.weight, held.bias)),
}


class Twice(nn.Module):
    """Reads its parameters from a plain container, as some packages do."""

    def __init__(self, hold, read):
        super().__init__()
        torch.manual_seed(0)
        self.weight, self.bias = nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(3))
        self.held, self.read = hold(self.weight, self.bias), read

    def forward(self, x):
        weight, bias = self.read(self.held)
        return nn.functional.linear(torch.tanh(x), weight, bias)


@pytest.mark.parametrize("form", FORMS)
def test_what_is_read_from_a_container_is_trained(form):
    model = Twice(*FORMS[form])
    errors = training_errors(model, Recipe((parse("float32:4"),), 3), "onnx", programs=("train_step", "predict"))
    assert max(errors.values()) <= TOLERANCE


def test_a_plain_attribute_too_in_both_precisions():
    model = Twice(lambda w, b: None, lambda held: None)
    vars(model)["again"] = model.weight
    model.forward = lambda x: nn.functional.linear(torch.tanh(x), model.again, model.bias)
    follow(model, {"weight": torch.ones(3, 4)})
    assert model.again.tolist() == torch.ones(3, 4).tolist()
    assert model.weight is not model.again


def test_containers_without_the_model_s_tensors_stay_what_they_are():
    model = nn.Linear(2, 2)
    model.other, model.mine = {"a": [torch.zeros(1)]}, [model.weight]
    other, mine = model.other, model.mine
    follow(model, {"weight": torch.ones(2, 2)})
    assert model.other is other
    assert model.mine is not mine
    assert mine[0] is model.weight

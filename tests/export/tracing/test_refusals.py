"""Whatever a forward pass, a recording or a lowering raises is an error of ours: one sentence that names the layer."""

import pytest
import torch
from torch import nn

from fedrela.core.errors import FedRelaError, InvalidInput, UnsupportedOperation
from fedrela.export import lowering, program
from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.refusals import refusals

RECIPE = Recipe((parse("float32:4"),), classes=3)


class Raising(nn.Module):
    """Raises, or does what only eager PyTorch can."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        """x (B, 4)."""
        return self.function(x)


def only_in_eager(x):
    """It runs, and can't be recorded: it reads a value."""
    return x * 2 if float(x.detach().abs().max()) >= 0 else x


def through_numpy(x):
    """It runs, and nothing of it can be recorded."""
    return x + torch.from_numpy(x.detach().numpy()) * 0


def by_an_operator_without_a_form(x):
    """It can be recorded, and no runtime has it."""
    return x + torch.linalg.solve(torch.eye(4) + 0 * x[:1].T @ x[:1], x.T).T


CASES = {
    "a value that is read": (only_in_eager, r"^1 \(Raising\): train_step depends on values"),
    "numpy": (through_numpy, r"^1 \(Raising\): train_step can't be exported \(\w+: "),
    "an operator": (by_an_operator_without_a_form, r"^1 \(Raising\): .*linalg"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_cant_be_recorded_is_refused_with_its_layer(name):
    function, message = CASES[name]
    model = nn.Sequential(nn.Linear(4, 4), Raising(function), nn.Linear(4, 3))
    analysis = analyze(model, RECIPE)
    definition = program.build(model, RECIPE, analysis)["train_step"]
    with pytest.raises(UnsupportedOperation, match=message) as refused:
        lowering.lower(definition, "onnx", 8, analysis.operators)
    assert len(refused.value.problem) < 400


def test_an_error_that_nobody_foresaw_is_told_with_the_layer_that_raised_it():
    def fail(x):
        raise ZeroDivisionError("division by zero")

    model = nn.Sequential(nn.Linear(4, 4), Raising(fail))
    message = r"^1 \(Raising\): predict can't be exported \(ZeroDivisionError: "
    with pytest.raises(UnsupportedOperation, match=message), refusals("predict"):
        model(torch.ones(1, 4))
    with pytest.raises(InvalidInput, match=r"batch of 5 inputs \(1 \(Raising\): division by zero\)"):
        analyze(model, RECIPE)


RAISED = {
    "of memory": (MemoryError(), "more memory than there is"),
    "of a recursion": (RecursionError("maximum recursion depth exceeded"), "more deeply than Python can follow"),
    "of a loss without parameters": (
        RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn"),
        "depends on no trained parameter",
    ),
    "without a message": (AssertionError(), r"can't be exported \(AssertionError: \)"),
}


@pytest.mark.parametrize("name", RAISED)
def test_what_is_known_is_told_in_its_own_words(name):
    error, message = RAISED[name]
    with pytest.raises(FedRelaError, match=message), refusals("train_step"):
        raise error


def test_our_own_errors_and_those_of_files_go_through():
    for error in (InvalidInput("a", remedy="b"), OSError("no space left")):
        with pytest.raises(type(error)) as raised, refusals("train_step"):
            raise error
        assert raised.value is error


def test_a_parametrization_is_taken_off_before_an_export():
    def fail(weight):
        raise NotImplementedError("no such operator")

    model = nn.Sequential(nn.utils.parametrizations.orthogonal(nn.Linear(4, 4)))
    model[0].parametrizations.weight[0].forward = fail
    with pytest.raises(FedRelaError, match=r"^0\.parametrizations\..*remove_parametrizations"), refusals("train_step"):
        model(torch.ones(1, 4))

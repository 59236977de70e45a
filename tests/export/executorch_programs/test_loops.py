"""Loops of recurrent layers: right for every batch, the same every time, and as long a program for any length."""

import pytest
import torch
from executorch.runtime import Runtime
from torch import nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.core.pte_files import rules
from fedrela.export import lowering, program
from fedrela.export.executorch_programs import forms, loops
from fedrela.export.executorch_programs.program import lower
from fedrela.export.inputs import parse
from fedrela.export.layers import recurrence_operators as operators
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.trace import trace
from fedrela.export.verification.comparison import training_errors

T, H = 5, 4
STEPS, STATE = (T, "B", H), ("B", H)
OPERATORS = {
    "lstm": (operators.lstm, [(T, "B", 4 * H), STATE, STATE, (4 * H, H)]),
    "lstm_backward": (
        lambda grad, *rest: operators.lstm_backward(grad, None, *rest),
        [STEPS, STEPS, (T, "B", 4 * H), STEPS, (4 * H, H)],
    ),
    "lstm_backward, cells": (operators.lstm_backward, [STEPS, STEPS, STEPS, (T, "B", 4 * H), STEPS, (4 * H, H)]),
    "gru": (operators.gru, [(T, "B", 3 * H), STATE, (3 * H, H), (3 * H,)]),
    "gru_backward": (operators.gru_backward, [STEPS, (T, "B", 3 * H), STEPS, (3 * H, H)]),
    "elman": (lambda *given: (operators.elman(*given, True), operators.elman(*given, False)), [STEPS, STATE, (H, H)]),
    "elman_backward": (operators.elman_backward, [STEPS, STEPS, (H, H)]),
}


def drawn(shapes, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn([batch if size == "B" else size for size in shape], generator=generator) for shape in shapes]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_loop_gives_what_its_steps_give_for_every_batch_and_every_time(name):
    operator, shapes = OPERATORS[name]

    def function(*given):
        return tuple(operator(*given))

    body = lower(trace(function, drawn(shapes, 7, 0), shapes, table=forms.table()), max_batch=8)
    method = Runtime.get().load_program(body).load_method("forward")
    for seed, batch in enumerate((8, 3, 1, 8)):
        given = drawn(shapes, batch, seed)
        for found, expected in zip(method.execute(given), function(*given), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_two_loops_of_one_program_are_apart():
    def twice(steps, h, weight):
        once = operators.elman(steps, h, weight, True)
        return operators.elman(once, h, weight, True), once

    shapes = [STEPS, STATE, (H, H)]
    body = lower(trace(twice, drawn(shapes, 7, 0), shapes, table=forms.table()), max_batch=8)
    method = Runtime.get().load_program(body).load_method("forward")
    given = drawn(shapes, 3, 1)
    for found, expected in zip(method.execute(given), twice(*given), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_batch_that_is_known_needs_no_question():
    shapes = [(T, 2, H), (2, H), (H, H)]

    def function(*given):
        return (operators.elman(*given, False),)

    body = lower(trace(function, drawn(shapes, 2, 0), shapes, table=forms.table()), max_batch=8)
    given = drawn(shapes, 2, 1)
    (found,) = Runtime.get().load_program(body).load_method("forward").execute(given)
    torch.testing.assert_close(found, function(*given)[0], rtol=1e-5, atol=1e-5)


class Classifier(nn.Module):
    """The last output of a recurrent layer, and of its own state."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size * (2 if layer.bidirectional else 1), 3)

    def forward(self, x):
        """x (B, T, 3)."""
        outputs = self.layer(x)[0] if self.layer.batch_first else self.layer(x.transpose(0, 1))[0].transpose(0, 1)
        return self.head(outputs[:, -1])


CASES = {
    "LSTM": (8, lambda: nn.LSTM(3, 4, batch_first=True)),
    "LSTM, time first": (8, lambda: nn.LSTM(3, 4)),
    "LSTM, both ways": (32, lambda: nn.LSTM(3, 4, bidirectional=True, batch_first=True)),
    "LSTM, two layers with dropout": (8, lambda: nn.LSTM(3, 4, 2, dropout=0.3, batch_first=True)),
    "LSTM, long": (128, lambda: nn.LSTM(3, 4, batch_first=True)),
    "GRU": (32, lambda: nn.GRU(3, 4, batch_first=True)),
    "GRU, both ways, two layers with dropout": (
        8,
        lambda: nn.GRU(3, 4, 2, dropout=0.3, bidirectional=True, batch_first=True),
    ),
    "GRU, long": (128, lambda: nn.GRU(3, 4)),
    "Elman": (32, lambda: nn.RNN(3, 4, batch_first=True)),
    "Elman, long, both ways": (128, lambda: nn.RNN(3, 4, bidirectional=True)),
    "Elman with ReLU": (8, lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True)),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.deep] * (name != "LSTM, both ways")) for name in CASES]
)
def test_a_classifier_is_trained_as_eager_pytorch_does(name):
    length, layer = CASES[name]
    torch.manual_seed(0)
    recipe = Recipe((parse(f"float32:{length}x3"),), classes=3)
    errors = training_errors(Classifier(layer()), recipe, "executorch", programs=("train_step", "predict"))
    assert max(errors.values()) <= 1e-4


def instructions(body):
    """Of a program, as its serializer reads them; and how many values it has."""
    from executorch.exir._serialize import _deserialize_pte_binary

    plan = _deserialize_pte_binary(body).program.execution_plan[0]
    calls = [item.instr_args for item in plan.chains[0].instructions]
    named = [plan.operators[call.op_index].name if hasattr(call, "op_index") else type(call).__name__ for call in calls]
    return named, len(plan.values)


def test_a_program_doesnt_grow_with_the_length():
    lengths, bodies = (8, 64), []
    model = Classifier(nn.LSTM(3, 4, batch_first=True))
    for length in lengths:
        recipe = Recipe((parse(f"float32:{length}x3"),), classes=3)
        definition = program.build(model, recipe, analyze(model, recipe))["train_step"]
        bodies.append(lowering.lower(definition, "executorch", 8)[0])
    short, long = (instructions(body) for body in bodies)
    assert short == long
    assert short[0].count("JumpFalseCall") == 2
    assert len(bodies[0]) == len(bodies[1])
    for body in bodies:
        rules.check(body, "train_step")


def test_a_loop_that_takes_longer_than_any_program_needs_is_refused_at_the_export():
    shapes = [(rules.MOST_INSTRUCTIONS, "B", 1), ("B", 1), (1, 1)]

    def function(*given):
        return (operators.elman(*given, False),)

    with pytest.raises(UnsupportedOperation, match="more instructions than any program needs"):
        lower(trace(function, drawn(shapes, 2, 0), shapes, table=forms.table()), max_batch=2)


def test_the_operator_gives_what_its_fake_says():
    given = ("gru", [torch.zeros(2, H)], [torch.zeros(T, 2, 3 * H)], [torch.zeros(H, 3 * H), torch.zeros(3 * H)], True)
    torch.library.opcheck(loops.loop, given, test_utils=("test_schema", "test_faketensor"))

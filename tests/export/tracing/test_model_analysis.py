"""What running a model in training mode tells of it: dropout's shapes, changed buffers, and who is at fault."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedrela.core.errors import InvalidInput, UnsupportedOperation
from fedrela.export.inputs import parse_all
from fedrela.export.losses import Loss, cross_entropy
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.examples import example
from fedrela.export.tracing.model_analysis import analyze


def analysis(model, *inputs, **options):
    """The analysis of a model of three classes."""
    return analyze(model, Recipe(parse_all(list(inputs or ["float32:4"])), 3, **options))


def layers():
    """Linear, BatchNorm, dropout, linear."""
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))


class Reshaped(nn.Module):
    """Drops out with the batch merged into another dimension, first or last."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        """x (B, 2, 2)."""
        x = torch.dropout(x.reshape(-1, 2), 0.5, self.training).reshape(-1, 4)
        return self.head(torch.dropout(x.t(), 0.5, self.training).t())


class Returns(nn.Module):
    """Gives whatever `function` makes of its logits."""

    def __init__(self, function, columns=3):
        super().__init__()
        self.linear, self.function = nn.Linear(4, columns), function

    def forward(self, x):
        """x (B, 4)."""
        return self.function(self.linear(x))


def test_everything_is_found_and_the_model_is_left_as_it_was():
    model = layers().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    analyzed = analysis(model)
    assert analyzed.trainable == ("0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias")
    assert analyzed.changed == ("1.running_mean", "1.running_var")
    assert analyzed.held == ()
    assert analyzed.random_shapes() == {"dropout.0": ("B", 6)}
    assert analyzed == analysis(model)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_frozen_norm_is_held_in_evaluation_mode():
    model = layers()
    analyzed = analysis(model, trainable=("3.*",))
    assert (analyzed.held, analyzed.changed) == (("1",), ())
    assert list(analyzed.parameters(model)) == ["3.weight", "3.bias"]
    assert analyzed.buffers(model) == {}
    analyzed.training_mode(model)
    assert [module.training for module in model] == [True, False, True, True]


class Own(nn.Module):
    """A layer of one's own whose buffer is called as a variance is, and is none."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("running_var", torch.zeros(1))

    def forward(self, x):
        """x (B, 4)."""
        if self.training:
            self.running_var -= x.mean()
        return self.linear(x)


@pytest.mark.parametrize(
    ("model", "input", "expected"),
    [
        (layers(), "float32:4", {"1.running_var": 0.0}),
        (nn.BatchNorm1d(3), "float32:3", {"running_var": 0.0}),
        (
            nn.Sequential(nn.InstanceNorm1d(3, track_running_stats=True), nn.Flatten(), nn.Linear(6, 3)),
            "float32:3x2",
            {"0.running_var": 0.0},
        ),
        (Own(), "float32:4", {}),
    ],
)
def test_only_a_variance_has_a_lowest_value(model, input, expected):  # noqa: A002
    assert analysis(model, input).lowest_values(model) == expected
    assert analysis(layers(), trainable=("3.*",)).lowest_values(layers()) == {}


def test_no_uniforms_for_a_dropout_of_nothing():
    assert analysis(nn.Sequential(nn.Dropout(0.0), nn.Linear(4, 3))).randoms == ()


def test_a_merged_batch_is_split_off():
    found = analysis(Reshaped(), "float32:2x2")
    assert found.random_shapes() == {"dropout.0": ("B", 2, 2), "dropout.1": ("B", 4)}
    assert [request.batch_at for request in found.randoms] == [0, 1]


def test_operators_are_told_with_the_first_that_calls_them():
    paths = set(analysis(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3), nn.ReLU())).operators.items())
    assert {path for name, path in paths if "relu" in name} == {"1 (ReLU)"}
    assert {path for name, path in paths if "addmm" in name} == {"0 (Linear)"}


def test_wrong_logits_are_refused():
    for function in (lambda y: y[:, :2], lambda y: y.sum(0), lambda y: (y, y), lambda y: y[1:]):
        with pytest.raises(InvalidInput, match="the model gives"):
            analysis(Returns(function))


def test_a_loss_of_ones_own_may_take_more_columns_but_not_fewer():
    own = Loss("own", cross_entropy)
    assert analysis(Returns(lambda y: y, columns=5), loss=own).trainable == ("linear.weight", "linear.bias")
    with pytest.raises(InvalidInput, match="the model gives"):
        analysis(Returns(lambda y: y, columns=5))
    with pytest.raises(InvalidInput, match="the model gives"):
        analysis(Returns(lambda y: y, columns=2), loss=own)


def test_the_layer_that_cant_take_its_input_is_named():
    with pytest.raises(InvalidInput, match=r"batch of 5 inputs \(1 \(Linear\): "):
        analysis(nn.Sequential(nn.ReLU(), nn.Linear(7, 3)))


def test_the_layer_of_a_packed_sequence_is_named():
    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(4, 3, 2, dropout=0.5, batch_first=True)

        def forward(self, x):
            packed = nn.utils.rnn.pack_padded_sequence(x, [6] * len(x), batch_first=True)
            return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)[0][:, -1]

    with pytest.raises(UnsupportedOperation, match=r"lstm \(LSTM\): aten\.lstm of a packed sequence; give it padded"):
        analysis(Packed(), "float32:6x4")


def test_dropout_between_recurrent_layers_asks_for_its_uniforms():
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.gru = nn.GRU(4, 3, 3, dropout=0.5)

        def forward(self, x):
            return self.gru(x.transpose(0, 1))[0][-1]

    assert analysis(Deep(), "float32:6x4").random_shapes() == {"dropout.0": ("B", 6, 3), "dropout.1": ("B", 6, 3)}


def test_examples_have_the_shapes_types_and_ranges_of_the_inputs():
    made = Recipe(parse_all(["a=uint8:3x4x4", "b=int32:50:7", "c=float32:2"]), 3)
    drawn = example(made, 5, torch.Generator().manual_seed(0))
    assert {name: (tuple(t.shape), t.dtype) for name, t in drawn.items()} == {
        "a": ((5, 3, 4, 4), torch.uint8),
        "b": ((5, 50), torch.int32),
        "c": ((5, 2), torch.float32),
    }
    assert set(drawn["b"].flatten().tolist()) == set(range(7))
    assert drawn["c"].abs().max() <= 1


DRAWS = {"Python's random": random.random, "numpy.random": np.random.rand}


@pytest.mark.parametrize("name", DRAWS)
def test_random_numbers_of_others_than_torch_are_refused_however_seldom_they_matter(name):
    with pytest.raises(UnsupportedOperation, match=f"draws from {name}.*draw with torch"):
        analysis(Returns(lambda y: y * 2 if DRAWS[name]() < 1e-9 else y))


OWN = {
    "a mean": (F.cross_entropy, r"gives \(\) for a batch of 5"),
    "a column": (lambda logits, y: F.cross_entropy(logits, y, reduction="none")[:, None], r"gives \(5, 1\)"),
    "a number": (lambda logits, y: 1.0, "gives float"),
}


@pytest.mark.parametrize("name", OWN)
def test_a_loss_that_isnt_one_number_for_each_example_is_refused(name):
    function, message = OWN[name]
    with pytest.raises(InvalidInput, match=f'{message}.*reduction="none"'):
        analysis(nn.Linear(4, 3), loss=Loss("own", function))


def test_a_tied_parameter_is_trained_by_any_of_its_names_and_its_norm_with_it():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Linear(4, 3))
    model[2].weight = model[0].weight
    assert analysis(model, trainable=("2.*",)).trainable == ("0.weight", "2.bias")
    shared = nn.Sequential(nn.Linear(4, 3), norm := nn.BatchNorm1d(3), nn.Tanh(), norm)
    found = analysis(shared, trainable=("3.*",))
    assert (found.trainable, found.held) == (("1.weight", "1.bias"), ())

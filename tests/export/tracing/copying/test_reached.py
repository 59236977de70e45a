"""Functions that hold the model that they were made in: refused where a copy would compute with another's weights."""

from functools import partial

import pytest
import torch
from torch import nn

from fedrela.core.errors import InvalidInput
from fedrela.export.classifier import gather
from fedrela.export.tracing.preparation import prepare

RECIPE = gather(input="float32:4", classes=3)


class Holds(nn.Module):
    """Two layers, the second of which is called by what `make` gives for the module."""

    def __init__(self, make):
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)
        self.call = make(self)

    def forward(self, x):
        """x (B, 4)."""
        return self.call(torch.tanh(self.first(x)))


def closure(own):
    layer = own.second

    def call(x):
        return layer(x)

    return call


def in_a_list(own):
    calls = [lambda x: x, lambda x: own.second(x)]  # noqa: PLW0108

    def call(x):
        for one in calls:
            x = one(x)
        return x

    return call


def in_training(own):
    return lambda x: own.second(x) if torch.is_grad_enabled() or own.training else torch.zeros(len(x), 3)


GLOBAL = nn.Linear(4, 3)


def by_a_global_name(own):
    own.second = GLOBAL
    return _global


def _global(x):
    return GLOBAL(x)


def one_weight(own):
    return lambda x: x @ own.second.weight.T


REACHES = {
    "a lambda": lambda own: lambda x: own.second(x),  # noqa: PLW0108
    "a closure": closure,
    "a lambda in a list": in_a_list,
    "in training alone": in_training,
    "a global name": by_a_global_name,
    "one of its weights": one_weight,
}


@pytest.mark.parametrize("name", REACHES)
def test_weights_that_no_copy_of_the_model_has_are_refused(name):
    with pytest.raises(InvalidInput, match=r"reaches (second\.bias, )?second\.weight by a function that holds"):
        prepare(Holds(REACHES[name]), RECIPE)


def frozen(own):
    own.second.requires_grad_(False)
    return lambda x: own.second(x)  # noqa: PLW0108


CONSTANT = torch.ones(4, 3)
FOLLOWED = {
    "a method": lambda own: own.second.forward,
    "a layer": lambda own: own.second,
    "a method in a partial": lambda own: partial(own.second.forward),
    "what nothing trains": frozen,
    "a constant": lambda own: lambda x: x @ CONSTANT,
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_what_a_copy_follows_and_what_nothing_trains_is_nobody_s_harm(name):
    assert isinstance(prepare(Holds(FOLLOWED[name]), RECIPE), Holds)

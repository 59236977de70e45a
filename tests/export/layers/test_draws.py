"""Random numbers of a model's own from supplied uniforms: shapes asked for, and the distributions that torch has."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.inputs import parse
from fedrela.export.layers.rewriting import Rewriting
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.verification.comparison import training_errors

COUNT = 40_000


class Supply:
    """Gives uniforms from a seed and remembers the shapes that were asked for."""

    def __init__(self):
        self.generator, self.shapes = torch.Generator().manual_seed(0), []

    def __call__(self, shape):
        self.shapes.append(shape)
        return torch.rand(shape, generator=self.generator)


EMPTY = torch.empty(COUNT)
BOUNDS: dict[str, Any] = {"from": -1, "to": 3}  # of which one is a word of Python's
DRAWS = {  # the draw, how many uniforms for a number, mean, standard deviation
    "rand": (lambda: torch.rand(COUNT), 1, 0.5, 12**-0.5),
    "rand, by size": (lambda: torch.rand(size=(COUNT,)), 1, 0.5, 12**-0.5),
    "rand_like": (lambda: torch.rand_like(EMPTY), 1, 0.5, 12**-0.5),
    "uniform_": (lambda: EMPTY.clone().uniform_(-1, 3), 1, 1.0, 4 * 12**-0.5),
    "uniform_, by name": (lambda: EMPTY.clone().uniform_(**BOUNDS), 1, 1.0, 4 * 12**-0.5),
    "randn": (lambda: torch.randn((COUNT,)), 2, 0.0, 1.0),
    "randn_like": (lambda: torch.randn_like(EMPTY), 2, 0.0, 1.0),
    "normal_": (lambda: EMPTY.clone().normal_(2, 3), 2, 2.0, 3.0),
    "normal": (lambda: torch.normal(2.0, 3.0, (COUNT,)), 2, 2.0, 3.0),
    "normal of tensors": (lambda: torch.normal(torch.full((COUNT,), 2.0), torch.tensor(3.0)), 2, 2.0, 3.0),
    "distribution": (lambda: torch.distributions.Normal(torch.full((COUNT,), 2.0), 3.0).rsample(), 2, 2.0, 3.0),
    "bernoulli_": (lambda: EMPTY.clone().bernoulli_(0.8), 1, 0.8, 0.4),
    "bernoulli": (lambda: torch.bernoulli(torch.full((COUNT,), 0.8)), 1, 0.8, 0.4),
    "exponential_": (lambda: EMPTY.clone().exponential_(2.0), 1, 0.5, 0.5),
    "randint": (lambda: torch.randint(2, 7, (COUNT,)).float(), 1, 4.0, 2**0.5),
    "randint below": (lambda: torch.randint(5, size=(COUNT,)).float(), 1, 2.0, 2**0.5),
    "randint, high by name": (lambda: torch.randint(2, high=7, size=(COUNT,)).float(), 1, 4.0, 2**0.5),
    "randint, all by name": (lambda: torch.randint(low=2, high=7, size=(COUNT,)).float(), 1, 4.0, 2**0.5),
    "randint, size by name": (lambda: torch.randint(2, 7, size=(COUNT,)).float(), 1, 4.0, 2**0.5),
    "randint below, by name": (lambda: torch.randint(high=5, size=(COUNT,)).float(), 1, 2.0, 2**0.5),
    "rrelu": (lambda: F.rrelu(-torch.ones(COUNT), training=True), 1, -11 / 48, (5 / 24) * 12**-0.5),
    "rrelu in evaluation": (lambda: F.rrelu(-torch.ones(COUNT)), 0, -11 / 48, 0.0),
    "gumbel_softmax": (lambda: F.gumbel_softmax(torch.zeros(COUNT, 2), hard=True)[:, 0], 2, 0.5, 0.5),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_has_the_distribution_of_torch_s_and_draws_nothing_itself(name):
    draw, uniforms, mean, deviation = DRAWS[name]
    state, supply = torch.get_rng_state(), Supply()
    with Rewriting(None, supply):
        drawn = draw()
    assert torch.equal(torch.get_rng_state(), state)
    assert sum(math.prod(shape) for shape in supply.shapes) == uniforms * COUNT
    assert drawn.mean().item() == pytest.approx(mean, abs=6 * deviation / COUNT**0.5 + 1e-6)
    assert drawn.std().item() == pytest.approx(deviation, rel=0.03, abs=1e-6)


def test_the_largest_and_smallest_uniform_make_finite_numbers():
    for uniform in (0.0, 1 - 2**-24):
        with Rewriting(None, lambda shape, uniform=uniform: torch.full(shape, uniform)):
            drawn = [torch.randn(2), torch.empty(2).exponential_(), F.gumbel_softmax(torch.zeros(1, 2))]
        assert all(torch.isfinite(value).all() for value in drawn)


def test_an_exponential_number_is_never_0_and_otherwise_what_it_was():
    uniforms = torch.tensor([0.0, 2.0**-24, 0.25, 1 - 2.0**-24])
    with Rewriting(None, lambda shape: uniforms):
        drawn = torch.empty(4).exponential_(2.0)
    assert drawn[0] == 2.0**-25
    assert torch.equal(drawn[1:], -torch.log(1 - uniforms[1:]) / 2)


SEEDED = {
    "randn": lambda own: torch.randn(2, generator=own),
    "randint": lambda own: torch.randint(3, (2,), generator=own),
    "bernoulli_": lambda own: torch.empty(2).bernoulli_(0.5, generator=own),
    "bernoulli": lambda own: torch.bernoulli(torch.ones(2), generator=own),
    "normal": lambda own: torch.normal(0.0, 1.0, (2,), generator=own),
}


@pytest.mark.parametrize("name", SEEDED)
def test_a_generator_of_the_model_s_own_is_refused_by_the_operator_s_name(name):
    with (
        Rewriting(None, Supply()),
        pytest.raises(UnsupportedOperation, match=f"^{name} with a generator; leave generator= out"),
    ):
        SEEDED[name](torch.Generator().manual_seed(3))


def test_a_tensor_to_draw_into_is_refused():
    with Rewriting(None, Supply()), pytest.raises(UnsupportedOperation, match="rand with out="):
        torch.rand(2, out=torch.empty(2))


class DropPath(nn.Module):
    """As timm and transformers have it: a residual branch that a whole example leaves out."""

    def __init__(self, keep):
        super().__init__()
        self.keep, self.branch = keep, nn.Linear(4, 4)

    def forward(self, x):
        """x (B, 4)."""
        if not self.training:
            return x + self.branch(x)
        kept = x.new_empty((x.shape[0], 1)).bernoulli_(self.keep).div_(self.keep)
        return x + self.branch(x) * kept


class DropConnect(nn.Module):
    """As MONAI has it: what was drawn is changed in place."""

    def forward(self, x):
        """x (B, 4)."""
        if not self.training:
            return x
        drawn = torch.rand((x.shape[0], 1))
        drawn += 0.6
        return x / 0.6 * drawn.floor_()


class Noise(nn.Module):
    """Gaussian noise on what goes through, in training."""

    def forward(self, x):
        """x (B, 4)."""
        return x + 0.1 * torch.randn_like(x) if self.training else x


class Everywhere(nn.Module):
    """Noise in evaluation, too."""

    def forward(self, x):
        """x (B, 4)."""
        return F.dropout(x, 0.5, training=True)


RECIPE = Recipe((parse("float32:4"),), classes=3)


@pytest.mark.parametrize("runtime", ["onnx", pytest.param("executorch", marks=pytest.mark.deep)])
def test_a_net_with_drop_path_rrelu_and_noise_is_trained_as_eager_pytorch_does(runtime):
    torch.manual_seed(0)
    model = nn.Sequential(DropPath(0.7), nn.RReLU(), Noise(), DropConnect(), nn.Linear(4, 3))
    shapes = {"dropout.0": ("B", 1), "dropout.1": ("B", 4), "dropout.2": ("B", 4, 2), "dropout.3": ("B", 1)}
    assert analyze(model, RECIPE).random_shapes() == shapes
    assert max(training_errors(model, RECIPE, runtime, programs=("train_step", "predict")).values()) <= 1e-4


def test_draws_in_evaluation_are_refused_with_their_layer():
    with pytest.raises(UnsupportedOperation, match=r"1 \(Everywhere\) draws random numbers in evaluation mode"):
        analyze(nn.Sequential(nn.Linear(4, 3), Everywhere()), RECIPE)


def test_draws_that_are_not_so_many_for_an_example_are_refused():
    class Pairs(nn.Module):
        def forward(self, x):
            return x + torch.rand(len(x) - 1).sum() if self.training else x

    with pytest.raises(UnsupportedOperation, match=r"shape \(4,\) for 5 examples and \(6,\) for 7"):
        analyze(nn.Sequential(nn.Linear(4, 3), Pairs()), RECIPE)

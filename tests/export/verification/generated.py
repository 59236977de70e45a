"""Modules that hypothesis puts together of layers, buffers, counts, caches, random draws, and branches.

Some are right to export, some must be refused; which is which nobody says: `follow` finds what was exported wrongly.
"""

import copy

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import nn

from fedrela.export import lowering, program
from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.preparation import prepare
from fedrela.export.tracing.refusals import refusals
from fedrela.export.tracing.trace import trace
from fedrela.export.verification import repetition
from fedrela.export.verification.precision import constants_in
from fedrela.export.verification.supplied import Supplied
from tests.export.verification.pieces import CLASSES, KINDS, WIDTH, Step

STEPS = 20
TOLERANCE = 2e-3
ROUNDING = 1e-7
RECIPE = Recipe((parse(f"float32:{WIDTH}"),), classes=CLASSES, hyperparameters={"lr": 0.02, "momentum": 0.5})

LAYERS = {
    "linear": lambda number: nn.Linear(WIDTH, WIDTH),
    "tanh": lambda number: nn.Tanh(),
    "gelu": lambda number: nn.GELU(),
    "batch norm": lambda number: nn.BatchNorm1d(WIDTH, momentum=None if number == 5 else 0.1),
    "layer norm": lambda number: nn.LayerNorm(WIDTH),
    "dropout": lambda number: nn.Dropout(number / 10),
    "alpha dropout": lambda number: nn.AlphaDropout(number / 10),
    "rrelu": lambda number: nn.RReLU(0.1, number / 5),
}


def plans():
    """A strategy: up to four steps and layers, and a seed of their weights, for `build`."""
    piece = st.tuples(st.sampled_from([*KINDS, *LAYERS]), st.integers(1, 5))
    return st.tuples(st.lists(piece, min_size=1, max_size=4), st.integers(0, 2**16))


def build(pieces, seed):
    """The model of these pieces."""
    torch.manual_seed(seed)
    steps = [LAYERS[kind](number) if kind in LAYERS else Step(kind, number) for kind, number in pieces]
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), *steps, nn.Linear(WIDTH, CLASSES))


def follow(model):
    """Trace the training step of `model` and run it beside the module itself, which is never replaced, for STEPS steps.

    Raises what an export raises; AssertionError where the two part further than a rounding of the first weights takes
    the step itself: some nets diverge, and nobody knows their digits.
    """
    torch.manual_seed(0)
    prepared = prepare(model, RECIPE)
    analysis = analyze(prepared, RECIPE)
    definition = program.build(prepared, RECIPE, analysis)["train_step"]
    shapes = [item.shape for item in definition.inputs]
    with refusals("train_step"):
        step = trace(definition.function, lowering.examples(definition), shapes).module()
    repetition.check(prepared, RECIPE, analysis)
    lasting = copy.deepcopy(model).train()
    sgd = torch.optim.SGD(lasting.parameters(), 0.02, 0.5)
    state = {
        name: value.detach().clone()
        for name, value in (analysis.parameters(lasting) | analysis.buffers(lasting)).items()
    }
    state |= {item.name: torch.zeros(item.shape) for item in definition.inputs if item.role == "optimizer"}
    rounded = {name: _rounded(value) for name, value in state.items()}
    for number in range(STEPS):
        fed = _fed(definition, batch=2 + (number * 5) % 7, seed=number)
        state, rounded = _stepped(step, definition, fed, state), _stepped(step, definition, fed, rounded)
        queue = [request.as_asked(fed[request.name]) for request in analysis.randoms]
        with (
            constants_in(torch.float32),
            Supplied(lambda shape, queue=queue: queue.pop(0).reshape(shape), torch.float32),
        ):
            loss = F.cross_entropy(lasting(fed["x"]), fed["y"])
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        for name, value in (analysis.parameters(lasting) | analysis.buffers(lasting)).items():
            known = TOLERANCE + 10 * float((state[name] - rounded[name]).abs().max())
            torch.testing.assert_close(state[name], value.detach(), rtol=TOLERANCE, atol=known)


def _stepped(step, definition, fed, state):
    """The state after a step of the program's."""
    outputs = step(*({**fed, **state}[item.name] for item in definition.inputs))
    named = dict(zip(definition.outputs, outputs, strict=True))
    return {name.removeprefix("new."): value for name, value in named.items() if name.startswith("new.")}


def _rounded(value):
    """`value` with other last digits."""
    moves = torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    return value * (1 + ROUNDING * moves) if value.is_floating_point() else value


def _fed(definition, batch, seed):
    generator = torch.Generator().manual_seed(seed)
    roles = {item.name: item for item in definition.inputs}
    fed = {
        "x": torch.randn(batch, WIDTH, generator=generator),
        "y": torch.randint(CLASSES, (batch,), generator=generator),
    }
    fed |= {"sample_weight": torch.ones(batch)}
    fed |= {name: torch.tensor(value) for name, value in RECIPE.hyperparameter_defaults().items()}
    for name, item in roles.items():
        if item.role == "random":
            fed[name] = torch.rand([batch if size == "B" else size for size in item.shape], generator=generator)
    return fed

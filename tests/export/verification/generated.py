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
from fedrela.export.tracing.trace import trace
from fedrela.export.verification import repetition
from fedrela.export.verification.precision import constants_in
from fedrela.export.verification.supplied import Supplied

WIDTH, CLASSES, STEPS = 4, 3, 20
RECIPE = Recipe((parse(f"float32:{WIDTH}"),), classes=CLASSES, hyperparameters={"lr": 0.02, "momentum": 0.5})


class Step(nn.Module):
    """One thing that a model may do to x (B, WIDTH), by name; `number` decides its details."""

    def __init__(self, kind, number):
        super().__init__()
        self.kind, self.number = kind, number
        self.calls, self.cache, self.seen, self.last = 0, None, [], None
        if kind in {"float buffer", "assigned float buffer"}:
            self.register_buffer("value", torch.ones(WIDTH))
        if kind in {"integer buffer", "idle integer buffer", "flag"}:
            self.register_buffer("value", torch.zeros((), dtype=torch.bool if kind == "flag" else torch.int64))

    def forward(self, x):
        """x (B, WIDTH)."""
        return KINDS[self.kind](self, x)


def _count(own, x):
    own.calls += 1
    return x * (1 + own.calls * own.number / 50)


def _late_count(own, x):
    own.calls += 1
    return x if own.calls < 1000 * own.number else -x


def _integer(own, x):
    own.value += 1
    return x * torch.clamp(own.value / (10 * own.number), max=1.0)


def _idle_integer(own, x):
    own.value += 1
    return x


def _flag(own, x):
    if own.training and not own.value:
        own.value.fill_(True)
    return x * torch.where(own.value, 1.0, 2.0)


def _float(own, x):
    if own.training:
        own.value.mul_(1 - own.number / 100)
    return x * own.value


def _assigned(own, x):
    if own.training:
        own.value = own.value * (1 - own.number / 100)
    return x * own.value


def _cache(own, x):
    if own.cache is None:
        own.cache = torch.linspace(0.5, own.number, x.shape[1])
    return x * own.cache


def _cache_of_data(own, x):
    if own.cache is None:
        own.cache = x.detach().abs().amax() + own.number
    return x / own.cache


def _only_written(own, x):
    own.last = x.detach()
    own.shape = x.shape
    return x


def _last(own, x):
    before, own.last = own.last, x.detach().mean(0)
    return x if before is None else x + before / own.number


def _list(own, x):
    own.seen.append(own.number)
    return x * (1 + 0.01 * len(own.seen))


def _batch(own, x):
    return x if x.shape[0] > own.number else x * 2


def _mode(own, x):
    return x * own.number if own.training else x


def _attribute(own, x):
    return torch.tanh(x) if own.number % 2 else x + own.number


def _values(own, x):
    return x if x.sum() > own.number else -x


def _drop_path(own, x):
    return x + x * torch.empty(x.shape[0], 1).bernoulli_(1 / own.number) if own.training else x


def _noise(own, x):
    return x + torch.randn_like(x) / (10 * own.number) if own.training else x


def _uniform(own, x):
    return x * torch.empty_like(x).uniform_(0.5, own.number) if own.training else x


def _one_number(own, x):
    return x * torch.rand(1) if own.training else x


KINDS = {
    "count": _count, "late count": _late_count, "integer buffer": _integer, "idle integer buffer": _idle_integer,
    "flag": _flag, "float buffer": _float, "assigned float buffer": _assigned, "cache": _cache,
    "cache of data": _cache_of_data, "only written": _only_written, "last": _last, "list": _list, "batch": _batch,
    "mode": _mode, "attribute": _attribute, "values": _values, "drop path": _drop_path, "noise": _noise,
    "uniform": _uniform, "one number": _one_number,
}  # fmt: skip
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


def models():
    """A strategy: up to four steps and layers, then a linear one; what they are, and a seed of their weights."""
    piece = st.tuples(st.sampled_from([*KINDS, *LAYERS]), st.integers(1, 5))
    return st.builds(build, st.lists(piece, min_size=1, max_size=4), st.integers(0, 2**16))


def build(pieces, seed):
    """The model of these pieces."""
    torch.manual_seed(seed)
    steps = [LAYERS[kind](number) if kind in LAYERS else Step(kind, number) for kind, number in pieces]
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), *steps, nn.Linear(WIDTH, CLASSES))


def follow(model, tolerance=2e-3):
    """Trace the training step of `model` and run it beside the module itself, which is never replaced, for STEPS steps.

    Raises what an export raises; AssertionError where the two part.
    """
    torch.manual_seed(0)
    prepared = prepare(model, RECIPE)
    analysis = analyze(prepared, RECIPE)
    definition = program.build(prepared, RECIPE, analysis)["train_step"]
    shapes = [item.shape for item in definition.inputs]
    with lowering.refusals("train_step", {}):
        step = trace(definition.function, lowering.examples(definition), shapes).module()
    repetition.check(prepared, RECIPE, analysis)
    lasting = copy.deepcopy(model).train()
    sgd = torch.optim.SGD(lasting.parameters(), 0.02, 0.5)
    state = {
        name: value.detach().clone()
        for name, value in (analysis.parameters(lasting) | analysis.buffers(lasting)).items()
    }
    state |= {item.name: torch.zeros(item.shape) for item in definition.inputs if item.role == "optimizer"}
    for number in range(STEPS):
        fed = _fed(definition, batch=2 + (number * 5) % 7, seed=number)
        outputs = dict(
            zip(definition.outputs, step(*({**fed, **state}[item.name] for item in definition.inputs)), strict=True)
        )
        state = {name.removeprefix("new."): value for name, value in outputs.items() if name.startswith("new.")}
        queue = [fed[request.name] for request in analysis.randoms]
        with (
            constants_in(torch.float32),
            Supplied(lambda shape, queue=queue: queue.pop(0).reshape(shape), torch.float32),
        ):
            loss = F.cross_entropy(lasting(fed["x"]), fed["y"])
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        for name, value in (analysis.parameters(lasting) | analysis.buffers(lasting)).items():
            torch.testing.assert_close(state[name], value.detach(), rtol=tolerance, atol=tolerance)


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

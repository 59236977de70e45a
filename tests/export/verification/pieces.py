"""What a generated model is put together of: layers, and things that a module of one's own may do.

Some are right to export, some must be refused.
"""

import random

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, CLASSES = 4, 3


class Step(nn.Module):
    """One thing that a model may do to x (B, WIDTH), by name; `number` decides its details."""

    all_calls = 0

    def __init__(self, kind, number):
        super().__init__()
        self.kind, self.number = kind, number
        self.calls, self.cache, self.seen, self.last = 0, None, [], None
        self.tick = ticking()
        if kind in {"applied twice", "parameter"}:
            self.inner = nn.Linear(WIDTH, WIDTH)
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


def _applied_twice(own, x):
    return own.inner(torch.tanh(own.inner(x)))


def _hook(own, x):
    y = x * 1
    if y.requires_grad:
        y.register_hook(lambda gradient: gradient / own.number)
    return y


def _own_gradient(own, x):
    return StraightThrough.apply(x)


def _detached(own, x):
    return x + x.detach() * own.number


def _in_place(own, x):
    y = x * 1
    y[:, 0] += own.number
    return y.mul_(0.5)


def _parameter(own, x):
    with torch.no_grad():
        own.inner.weight.mul_(1 - own.number / 100)
    return own.inner(x)


def _of_the_class(own, x):
    Step.all_calls += 1
    return x * (1 + Step.all_calls % 7)


def _closure(own, x):
    return x * own.tick()


def _python_s_random(own, x):
    return x * random.random()


def _flips(own, x):
    own.last = not own.last
    return x if own.last else -x


def _first_size(own, x):
    own.cache = own.cache or x.shape[0]
    return x / own.cache


def _mask_of_size(own, x):
    if own.cache is None or own.cache.shape[0] != x.shape[0]:
        own.cache = torch.full((x.shape[0], 1), float(own.number))
    return x * own.cache


def _drop_always(own, x):
    return F.dropout(x, own.number / 10)


def _drop_columns(own, x):
    return F.dropout1d(x[:, :, None], own.number / 10, own.training)[:, :, 0]


def _drop_alpha_columns(own, x):
    return F.feature_alpha_dropout(x[:, :, None], own.number / 10, own.training)[:, :, 0]


def _permuted(own, x):
    return x[:, torch.randperm(x.shape[1])] if own.training else x


def _gradient_mode(own, x):
    return x * own.number if torch.is_grad_enabled() else x


class StraightThrough(torch.autograd.Function):
    """The sign, and a gradient as if it were nothing."""

    @staticmethod
    def forward(ctx, x):
        return torch.sign(x) + x

    @staticmethod
    def backward(ctx, grad):
        return grad * 2


def ticking():
    """A function that counts its calls where nobody sees it."""
    calls = iter(range(1, 1_000_000))
    return lambda: next(calls)


KINDS = {
    "count": _count, "late count": _late_count, "integer buffer": _integer, "idle integer buffer": _idle_integer,
    "flag": _flag, "float buffer": _float, "assigned float buffer": _assigned, "cache": _cache,
    "cache of data": _cache_of_data, "only written": _only_written, "last": _last, "list": _list, "batch": _batch,
    "mode": _mode, "attribute": _attribute, "values": _values, "drop path": _drop_path, "noise": _noise,
    "uniform": _uniform, "one number": _one_number, "applied twice": _applied_twice, "hook": _hook,
    "own gradient": _own_gradient, "detached": _detached, "in place": _in_place, "parameter": _parameter,
    "of the class": _of_the_class, "closure": _closure, "Python's random": _python_s_random, "flips": _flips,
    "first size": _first_size, "mask of size": _mask_of_size, "drop always": _drop_always,
    "drop columns": _drop_columns, "drop alpha columns": _drop_alpha_columns, "permuted": _permuted,
    "gradient mode": _gradient_mode,
}  # fmt: skip

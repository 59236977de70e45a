"""Modules that keep something from one forward pass to the next, or seem to."""

from dataclasses import dataclass

import torch
from torch import nn


class Net(nn.Module):
    """Linear; `after` makes of the logits, and of the module itself, whatever it likes."""

    def __init__(self, after, **attributes):
        super().__init__()
        self.linear, self.after = nn.Linear(4, 3), after
        for name, value in attributes.items():
            setattr(self, name, value)

    def forward(self, x):
        """x (B, 4)."""
        return self.after(self, self.linear(x))


class WithBuffer(Net):
    """The same with a buffer."""

    def __init__(self, after, value, name="buffer"):
        super().__init__(after)
        self.register_buffer(name, value)


def counted(own, y):
    own.calls += 1
    return y * min(1.0, own.calls / 10_000)


def counted_for_later(own, y):
    own.calls += 1
    return y * (2 if own.calls > 10_000 else 1)


def counted_in_training(own, y):
    own.calls += own.training
    return y if own.training else y * own.calls


def last_output(own, y):
    before, own.last = own.last, y.detach().mean(0)
    return y if before is None else y + before


def begun_anew(own, y):
    """As spiking layers do: the shape of what the last pass left is looked at, its numbers never."""
    own.last = torch.zeros_like(y) if own.last.shape != y.shape else torch.zeros_like(own.last)
    for _ in range(2):
        own.last = 0.5 * own.last + y
    return own.last


def another_first_pass(own, y):
    """Its numbers are never read, but whether there are any is."""
    before, own.last = own.last, y.detach()
    return y if before is None else 2 * y


def small_enough(own, y):
    """Its numbers are compared alone."""
    small = own.last is None or float(own.last.abs().sum()) < 1e3
    own.last = y.detach()
    return y if small else 2 * y


def listed(own, y):
    own.seen.append(float(y.detach().sum()))
    return y + len(own.seen)


def first_data(own, y):
    if own.scale is None:
        own.scale = y.detach().abs().mean()
    return y / own.scale


def trained_for_evaluation(own, y):
    if own.training:
        own.mean = y.detach().mean(0)
    return y if own.training else y - own.mean


def tensor_in_place(own, y):
    own.running.mul_(0.9).add_(y.detach().mean(0))
    return y + own.running


@dataclass
class Schedule:
    """A plain object that counts."""

    calls: int = 0


def scheduled(own, y):
    own.schedule.calls += 1
    return y / own.schedule.calls


def whole_number(own, y):
    own.buffer += 1
    return y * torch.clamp(own.buffer / 100, max=1.0)


def whole_number_assigned(own, y):
    own.buffer = own.buffer + 1
    return y / own.buffer


def whole_number_by_python(own, y):
    own.buffer += 1
    return y * (2 if own.buffer > 10_000 else 1)


def done_once(own, y):
    if not own.buffer:
        own.buffer.fill_(True)
        return y * 2
    return y


def only_written(own, y):
    own.attention = y.detach()
    own.shape = y.shape
    own.calls = 1
    return y


def cached(own, y):
    if own.mask is None or own.mask.shape[0] != y.shape[1]:
        own.mask = torch.ones(y.shape[1]).cumsum(0)
    return y * own.mask


def cached_by_key(own, y):
    own.masks.setdefault(y.shape[1], torch.arange(y.shape[1], dtype=torch.float32))
    return y * own.masks[y.shape[1]]


def cached_buffer(own, y):
    if own.buffer is None:
        own.register_buffer("buffer", torch.ones(y.shape[1]) * 2, persistent=False)
    return y * own.buffer


def idle_counter(own, y):
    own.buffer += 1
    return y


def average(own, y):
    own.buffer.mul_(0.9).add_(0.1 * y.detach().mean(0))
    return y - own.buffer


def average_assigned(own, y):
    own.buffer = 0.9 * own.buffer + 0.1 * y.detach().mean(0)
    return y - own.buffer


def float_counter(own, y):
    own.buffer += 1.0
    return y * torch.clamp(own.buffer / 5, max=1.0)


class Batchless(nn.Module):
    """One row for all: what is averaged over them then doesn't depend on padding, which counts in no program's loss."""

    def forward(self, x):
        """x (B, 4)."""
        return x * 0 + 1

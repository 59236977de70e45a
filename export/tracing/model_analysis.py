"""What a model does, found by running it: random numbers it asks for, buffers it changes, its output, what it keeps.

>>> import torch
>>> from fedrela.export.inputs import parse
>>> from fedrela.export.recipe import Recipe
>>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
>>> analyze(model, Recipe((parse("float32:3"),), classes=2)).random_shapes()
{'dropout.0': ('B', 4)}
"""

import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor, nn

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import running
from fedrela.export.tracing.hidden_state import hidden_state

_SMALL, _LARGE = 5, 7  # two batch sizes tell a batch dimension from any other
_FEW = 3  # examples, where their number doesn't matter


@dataclass(frozen=True)
class RandomRequest:
    """One draw of uniforms inside the model, which asks for the batch at the dimension `batch_at`.

    `shape` is the program's: "B" for the batch, first where there is one, and split off where the model merged it.
    """

    name: str
    shape: tuple[int | str, ...]
    batch_at: int = 0

    def as_asked(self, values: Tensor) -> Tensor:
        """The program's `values` with the batch where the model asks for it, still split off."""
        return values.movedim(0, self.batch_at) if self.batch_at else values


@dataclass(frozen=True)
class ModelAnalysis:
    """What a model does when it is trained. `trainable` and `changed` are names of parameters and buffers."""

    trainable: tuple[str, ...]
    changed: tuple[str, ...]
    held: tuple[str, ...]  # normalization layers that training leaves in evaluation mode
    randoms: tuple[RandomRequest, ...]
    operators: dict[str, str] = field(default_factory=dict)  # ATen operator -> the first submodule that calls it

    def training_mode(self, model: nn.Module) -> None:
        """Put `model` in training mode, but for frozen normalization layers."""
        running.set_mode(model, self.held)

    def parameters(self, model: nn.Module) -> dict[str, Tensor]:
        """The trained parameters of `model`, in its order."""
        return {name: p for name, p in model.named_parameters() if name in self.trainable}

    def buffers(self, model: nn.Module) -> dict[str, Tensor]:
        """The buffers that training changes, in the model's order."""
        return {name: b for name, b in model.named_buffers() if name in self.changed}

    def lowest_values(self, model: nn.Module) -> dict[str, float]:
        """The lowest value that a buffer may have, of those where one is known: 0 of a running variance."""
        variances = {
            f"{name}.running_var" if name else "running_var"
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._NormBase)
        }
        return {name: 0.0 for name in self.buffers(model) if name in variances}

    def random_shapes(self) -> dict[str, tuple[int | str, ...]]:
        """Names and shapes of the uniforms for dropout."""
        return {request.name: request.shape for request in self.randoms}


def analyze(model: nn.Module, recipe: Recipe) -> ModelAnalysis:
    """Run copies of `model`. Raises InvalidInput or UnsupportedOperation."""
    trainable = recipe.trainable_names(model)
    held = _held(model, recipe)
    _refuse_cumulative_averages(model, held)
    with _no_draws_but_torch_s():
        return _passes(model, recipe, trainable, held)


def _held(model: nn.Module, recipe: Recipe) -> tuple[str, ...]:
    """The normalization layers that aren't trained by any of their names."""
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._NormBase)}
    every = model.named_modules(remove_duplicate=False)
    trained = {id(module) for name, module in every if recipe.trains(f"{name}.weight")}
    return tuple(name for name, module in norms.items() if id(module) not in trained)


def _passes(model: nn.Module, recipe: Recipe, trainable: tuple[str, ...], held: tuple[str, ...]) -> ModelAnalysis:
    small = running.training_pass(model, recipe, held, _SMALL)
    large = running.training_pass(model, recipe, held, _LARGE)
    running.evaluation_pass(model, recipe, _SMALL)
    _refuse_hidden_state(model, recipe, held)
    return ModelAnalysis(trainable, small.changed, held, _requests(small.requested, large.requested), small.operators)


@contextmanager
def _no_draws_but_torch_s() -> Iterator[None]:
    """Inside: forward passes, which leave Python's and numpy's global random numbers where they were, or are refused.

    What is drawn there becomes a constant of a program, and whether a comparison shows that is a matter of chance.
    """
    states: dict[str, Callable[[], Any]] = {"Python's random": random.getstate, "numpy.random": np.random.get_state}
    with np.printoptions(threshold=sys.maxsize):
        before = {name: repr(state()) for name, state in states.items()}
    yield
    with np.printoptions(threshold=sys.maxsize):
        drawn = [name for name, state in states.items() if repr(state()) != before[name]]
    if drawn:
        raise UnsupportedOperation(
            f"a forward pass draws from {drawn[0]}, which no program has",
            remedy="draw with torch (torch.rand, torch.bernoulli, nn.Dropout), whose random numbers become inputs",
        )


def _refuse_cumulative_averages(model: nn.Module, held: tuple[str, ...]) -> None:
    for name, module in model.named_modules():
        cumulative = isinstance(module, nn.modules.batchnorm._NormBase) and module.momentum is None
        if cumulative and module.track_running_stats and name not in held:
            raise UnsupportedOperation(
                f"{name}: a BatchNorm layer with momentum=None keeps a cumulative average, which depends on a counter",
                remedy="give it a momentum, e.g. BatchNorm2d(channels, momentum=0.1)",
            )


def _refuse_hidden_state(model: nn.Module, recipe: Recipe, held: tuple[str, ...]) -> None:
    def forward(scratch: nn.Module, training: bool, seed: int) -> Tensor:
        return running.plain_pass(scratch, recipe, held if training else None, _FEW, seed)

    found = hidden_state(model, forward)
    if found:
        raise UnsupportedOperation(
            f"a forward pass changes {', '.join(found[:3])}, and the next one reads it: that is no part of the state",
            remedy="leave it out, or make it a float32 buffer (register_buffer), which goes from step to step",
        )


def _requests(small: Sequence[tuple[int, ...]], large: Sequence[tuple[int, ...]]) -> tuple[RandomRequest, ...]:
    """What was asked for with a small and with a large batch, as one."""
    if len(small) != len(large):
        raise UnsupportedOperation(
            f"the model draws {len(small)} times for {_SMALL} examples and {len(large)} times for {_LARGE}",
            remedy="draw random numbers of a shape that holds the batch, once",
        )
    return tuple(
        _request(f"dropout.{index}", one, other) for index, (one, other) in enumerate(zip(small, large, strict=True))
    )


def _request(name: str, small: tuple[int, ...], large: tuple[int, ...]) -> RandomRequest:
    """With the batch dimension named: sizes that grew from 5 k to 7 k are ("B", k)."""
    sizes: list[int] = []
    batches: list[int] = []
    for one, other in zip(small, large, strict=True):
        if one == other:
            sizes.append(one)
            continue
        factor, rest = divmod(one, _SMALL)
        if rest or other != factor * _LARGE or batches:
            raise UnsupportedOperation(
                f"the model draws random numbers of shape {small} for {_SMALL} examples and {large} for {_LARGE}",
                remedy="draw a fixed number for each example",
            )
        batches.append(len(sizes))
        sizes += [] if factor == 1 else [factor]
    return RandomRequest(name, ("B", *sizes), batches[0]) if batches else RandomRequest(name, tuple(sizes))

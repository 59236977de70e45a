"""Parameters that a forward pass reaches past the modules of the model that it was called on.

A function that was made inside a model and holds it (a lambda, a closure, a global name) goes on to compute with that
very model, whatever copy of it is called. A program takes the state from outside: it would hold such a parameter as a
constant, and nothing would train it.

    >>> import torch
    >>> class Doubled(torch.nn.Linear):
    ...     def __init__(self):
    ...         super().__init__(2, 2)
    ...         self.again = lambda x: x @ self.weight
    ...     def forward(self, x):
    ...         return self.again(super().forward(x))
    >>> model = Doubled()
    >>> past(model, copy.deepcopy(model), lambda own: own(torch.ones(1, 2)))
    ['weight']
"""

import copy
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode

from fedrela.export.tracing.dataflow import memory, tensors


def past(model: nn.Module, own: nn.Module, run: Callable[[nn.Module], object]) -> list[str]:
    """Names of trained parameters of `model` that `run` of a copy of its copy `own` computes with."""
    copies = {memory(value) for value in own.parameters()}
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad and not is_lazy(value)}
    others = {memory(value): name for name, value in trained.items()}
    return sorted(others[place] for place in (touched(copy.deepcopy(own), run) & others.keys()) - copies)


def touched(scratch: nn.Module, run: Callable[[nn.Module], object]) -> set[int]:
    """Where the tensors lie that `run` of `scratch` computes with: of a copy that was made before it is watched, lest
    what is freed meanwhile give its place to a tensor of the copy.
    """
    memories: set[int] = set()
    with _Touched(memories):
        run(scratch)
    return memories


class _Touched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside `with`: adds to `memories` where the tensors lie that something is computed with."""

    def __init__(self, memories: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._memories = memories

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._memories |= {memory(value) for value in tensors((args, kwargs))}
        return func(*args, **(kwargs or {}))

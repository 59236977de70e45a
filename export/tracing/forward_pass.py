"""A forward pass that is nothing but one: it leaves the module as it was, and takes no detour for speed or memory; what
its own code asks of a batch's size by `len` stays open.

What torch does only to be faster or to need less memory has no place in a program's graph, and some of it can't be
traced: attention's fast path and its nested tensors, checkpointed activations (which are computed twice), autocast.

    >>> import torch
    >>> class Counting(torch.nn.Module):
    ...     calls = 0
    ...     def forward(self, x):
    ...         self.calls += 1
    ...         return x
    >>> model = Counting()
    >>> with forward_pass(model):
    ...     _ = model(torch.ones(1))
    >>> model.calls
    0
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.utils import checkpoint

_ENTER_AUTOCAST: Callable[[Any], Any] = torch.autocast.__enter__
_CONTAINERS = (list, dict, set)


@contextmanager
def forward_pass(model: nn.Module) -> Iterator[None]:
    """Inside: one forward pass of `model`. Afterwards its attributes are those from before; tensors that it changes in
    place stay changed.
    """
    before = [(module, _contents(module)) for module in model.modules()]
    try:
        with without_detours(), _open_lengths(model):
            yield
    finally:
        for module, (attributes, containers) in before:
            vars(module).clear()
            vars(module).update(attributes)
            for container, contents in containers:
                container.clear()
                (container.extend if isinstance(container, list) else container.update)(contents)


@contextmanager
def _open_lengths(model: nn.Module) -> Iterator[None]:
    """In the code of the model's classes `len(tensor)` is its first size: Python's own makes it a number."""
    kinds = {kind for module in model.modules() for kind in type(module).__mro__ if issubclass(kind, nn.Module)}
    names = {kind.__module__ for kind in kinds if kind.__module__.partition(".")[0] != "torch"}
    places = [vars(sys.modules[name]) for name in names & sys.modules.keys()]
    changed = [place for place in places if "len" not in place]
    for place in changed:
        place["len"] = _length
    try:
        yield
    finally:
        for place in changed:
            del place["len"]


def _length(value: Any) -> Any:
    return value.shape[0] if isinstance(value, torch.Tensor) and value.dim() else len(value)


@contextmanager
def without_detours() -> Iterator[None]:
    """Attention without its fast path, checkpointed segments run as they are, autocast casts nothing."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            patch.object(checkpoint, "CheckpointFunction", _Once),
            patch.object(checkpoint, "_checkpoint_without_reentrant_generator", _around_nothing),
            patch.object(torch.autocast, "__enter__", _enter_without_casts),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _contents(module: nn.Module) -> tuple[dict[str, Any], list[tuple[Any, Any]]]:
    """A module's attributes, and a copy of each list, dict and set among them (its buffers and submodules, too)."""
    attributes = dict(vars(module))
    containers = [value for value in attributes.values() if isinstance(value, _CONTAINERS)]
    return attributes, [(container, container.copy()) for container in containers]


class _Once:
    """In place of what computes a segment again in the backward pass: it is computed once."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *arguments: Any) -> Any:
        """What `function` gives."""
        return function(*arguments)


def _around_nothing(*_: Any, **__: Any) -> Iterator[None]:
    yield


def _enter_without_casts(context: Any) -> Any:
    enabled, context._enabled = context._enabled, False
    try:
        return _ENTER_AUTOCAST(context)
    finally:
        context._enabled = enabled

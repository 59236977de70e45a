"""What a model keeps from one forward pass to the next beside its parameters and buffers: no program can.

A count of training steps, a running value in a plain attribute, a list that grows: the next forward pass reads what
this one wrote. An attribute that is only written (the last attention weights, say) is no such state, and neither is a
cache that has the same contents whatever the data: a mask, or positions, that are made when they are first needed; nor
is a tensor that is looked at but whose numbers change nothing: one that a pass begins by setting to zero. A buffer is a
part of the state as long as it keeps its shape.

    >>> import torch
    >>> class WarmUp(torch.nn.Module):
    ...     calls = 0
    ...     def forward(self, x):
    ...         self.calls += 1
    ...         return x * min(1.0, self.calls / 100)
    >>> hidden_state(WarmUp(), lambda model, training, seed: model(torch.full((1,), float(seed))))
    ("the attribute 'calls'",)
"""

import copy
import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Forward = Callable[[nn.Module, bool, int], Tensor]  # one pass of a module, in training mode or not, on data of a seed
Place = tuple[str, str]  # of an attribute: its module's path, its name
Picture = dict[Place, object]

_TORCH_S = frozenset(vars(nn.Module()))  # what torch itself keeps in every module
_DEPTH = 6  # of containers and objects in an attribute
_ANYTHING = (float("nan"), 1e6, -1e6, 0.0)  # numbers that show up wherever they are computed or compared with


@dataclass(frozen=True)
class _Pass:
    """What a pass read before it wrote it, and every attribute before and after it."""

    read: frozenset[Place]
    before: Picture
    after: Picture

    @property
    def changed(self) -> set[Place]:
        return {place for place, value in self.after.items() if value != self.before.get(place)}


def hidden_state(model: nn.Module, forward: Forward) -> tuple[str, ...]:
    """The attributes that a forward pass reads as an earlier one left them, in words. Copies of `model` are run."""
    one, other = copy.deepcopy(model), copy.deepcopy(model)
    first = _watched(one, forward, True, 1)
    state = _kept(model, one)
    elsewhere = _watched(other, forward, True, 2)
    second = _watched(one, forward, True, 3)
    evaluation = [_watched(one, forward, False, seed) for seed in (4, 5)]
    of_data = {place for place in first.changed if first.after[place] != elsewhere.after.get(place)}
    found = of_data & (first.read | evaluation[0].read)
    for later in (second, evaluation[1]):
        found |= later.changed & later.read
    found = {place for place in found - state if not _changes_nothing(model, other, place, forward)}
    return tuple(f"the attribute {name!r}" + (f" of {path}" if path else "") for path, name in sorted(found))


def _kept(before: nn.Module, after: nn.Module) -> set[Place]:
    """The buffers that are of the same shape after a pass as before it."""
    shapes = {name: buffer.shape for name, buffer in before.named_buffers()}
    kept = [name.rpartition(".") for name, buffer in after.named_buffers() if buffer.shape == shapes.get(name)]
    return {(path, name) for path, _, name in kept}


def _changes_nothing(fresh: nn.Module, used: nn.Module, place: Place, forward: Forward) -> bool:
    """Whether the next pass of `used` ends the same with anything in place of a tensor, also with what `fresh` has."""
    path, name = place
    held, first = (getattr(model.get_submodule(path), name, "missing") for model in (used, fresh))
    if not isinstance(held, Tensor) or not held.is_floating_point() or isinstance(first, str):
        return False

    def outcome(training: bool, value: Tensor | None) -> object:
        scratch = copy.deepcopy(used)
        setattr(scratch.get_submodule(path), name, copy.deepcopy(value))
        return _value(forward(scratch, training, 6), set(), 1), _picture(scratch)

    values = [first, *(torch.full_like(held, number) for number in _ANYTHING)]
    modes = (True, False)
    return all(outcome(training, value) == outcome(training, held) for training in modes for value in values)


def _watched(model: nn.Module, forward: Forward, training: bool, seed: int) -> _Pass:
    """One forward pass of `model`."""
    before = _picture(model)
    kinds = [(module, type(module)) for module in model.modules()]
    read: set[Place] = set()
    written: set[Place] = set()
    for path, module in model.named_modules():
        _watch(module, path, read, written)
    try:
        forward(model, training, seed)
    finally:
        for module, kind in kinds:
            module.__class__ = kind
    return _Pass(frozenset(read), before, _picture(model))


def _watch(module: nn.Module, path: str, read: set[Place], written: set[Place]) -> None:
    """Note which attributes of `module` are read before they are written."""
    kind: Any = type(module)

    def get(own: Any, name: str) -> Any:
        if (path, name) not in written:
            read.add((path, name))
        return kind.__getattribute__(own, name)

    def put(own: Any, name: str, value: Any) -> None:
        written.add((path, name))
        kind.__setattr__(own, name, value)

    names = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    try:
        module.__class__ = type(kind)(kind.__name__, (kind,), names | {"__getattribute__": get, "__setattr__": put})
    except TypeError:  # a class that can't be derived from: whatever it changes may have been read
        read.update((path, name) for name in vars(module))


def _picture(model: nn.Module) -> Picture:
    """Every attribute and buffer of every module by value."""
    seen: set[int] = set()
    pictures: Picture = {}
    for path, module in model.named_modules():
        own = {name: value for name, value in vars(module).items() if name not in _TORCH_S} | module._buffers
        pictures |= {(path, name): _value(value, seen, _DEPTH) for name, value in own.items()}
    return pictures


def _value(value: Any, seen: set[int], depth: int) -> object:
    """Something that is equal for equal contents, each object of which is looked into once."""
    if isinstance(value, int | float | complex | str | bytes | None):
        return repr(value)
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        plain = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return (str(value.dtype), tuple(value.shape), hashlib.sha256(plain.data).digest())
    opaque = isinstance(value, nn.Parameter | nn.Module | type) or inspect.isroutine(value)
    if opaque or depth == 0 or id(value) in seen:
        return type(value).__name__
    seen.add(id(value))
    if isinstance(value, Iterable) and hasattr(value, "__len__"):
        items = value.items() if isinstance(value, dict) else value
        return (type(value).__name__, tuple(_value(item, seen, depth - 1) for item in list(items)))
    own = getattr(value, "__dict__", None)
    return repr(value) if own is None else {name: _value(item, seen, depth - 1) for name, item in own.items()}

"""What no copy of a model has, and so no program: hooks on its tensors, and memory that different tensors share.

A Parameter that several modules hold is one tensor in a copy, too. A tensor that merely lies in a parameter's memory
(`b.weight.data = a.weight.data`, `self.target = self.weight.detach()`) follows it in PyTorch, and not in a copy.

    >>> model = torch.nn.Linear(2, 2)
    >>> model.target = model.weight.detach()
    >>> sharing(model)
    [('weight', 'target')]
"""

import copy
import inspect
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.tracing.copying.reached import touched
from fedrela.export.tracing.dataflow import memory
from fedrela.export.tracing.written import version

Run = Callable[[nn.Module], object]
_HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
_MODULE_S = frozenset({"_parameters", "_buffers", "_modules"})  # parts of a path that nobody writes
_OPAQUE = (str, bytes, int, float, complex, type, types.ModuleType, torch.Generator)


def refuse_hooks(model: nn.Module, trained: Collection[str]) -> None:
    """Raise UnsupportedOperation for a hook on a parameter of `trained`, or on another tensor that `model` holds."""
    parameters = dict(model.named_parameters())
    idle = {id(value) for name, value in parameters.items() if name not in trained}
    found = {name: parameters[name] for name in parameters if name in trained} | held(model)
    for name, value in found.items():
        left_behind = not value.is_leaf  # by an earlier forward pass: the next one makes it anew, and its hook
        if not left_behind and id(value) not in idle and any(getattr(value, hooks, None) for hooks in _HOOKS):
            raise UnsupportedOperation(
                f"{name} has a hook on its gradient (register_hook or register_post_accumulate_grad_hook), which no "
                "program runs",
                remedy="take the hook off (handle.remove()) and do in forward what it does (multiply the weight by a "
                "mask, say), or register the hook on a module",
            )


def sharing(model: nn.Module) -> list[tuple[str, str]]:
    """Names of different tensors that `model` holds, any of whose elements lie in the same memory."""
    by_memory: dict[int, list[tuple[str, Tensor]]] = {}
    for name, value in held(model).items():
        if _lies_somewhere(value):
            by_memory.setdefault(value.untyped_storage().data_ptr(), []).append((name, value))
    return [
        (name, other)
        for found in by_memory.values()
        for (name, value), (other, second) in combinations(found, 2)
        if _overlap(value, second)
    ]


def refuse_sharing(shared: list[tuple[str, str]], own: nn.Module, trained: Collection[str], runs: list[Run]) -> None:
    """Raise UnsupportedOperation where one of two that shared memory changes, and the other one is computed with.

    own: a copy of the model; `runs`, each of a copy of `own`, tell what a forward pass writes and reads. What has
    another name there (it is out of a wrapper) counts as read.
    """
    if not shared:
        return
    parameters = dict(own.named_parameters())
    renamed = {name for pair in shared for name in pair} - held(own).keys()
    changing, used = set(trained), renamed | parameters.keys()
    for run in runs:
        wrote, read = _watched(own, run)
        changing |= wrote
        used |= read
    for pair in shared:
        for one, other in (pair, pair[::-1]):
            if one in changing and other in used:
                raise UnsupportedOperation(
                    f"{other} lies in the memory of {one}, which training changes: in PyTorch it changes with it, in a "
                    "program it would not",
                    remedy="let both be one Parameter (b.weight = a.weight), compute it from the parameter in forward, "
                    "or make it a tensor of its own (.clone())",
                )


def held(model: nn.Module) -> dict[str, Tensor]:
    """Every tensor that `model`, or what its attributes hold, has; each once, parameters first, by its path."""
    found = {id(value): (name, value) for name, value in (*model.named_parameters(), *model.named_buffers())}
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", model)]
    while waiting:
        path, value = waiting.pop()
        if id(value) in seen or isinstance(value, _OPAQUE) or inspect.isroutine(value):
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            found.setdefault(id(value), (path, value))
        else:
            waiting += [(f"{path}.{name}" if path else name, part) for name, part in _parts(value)]
    return dict(found.values())


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple | set | frozenset):
        yield from ((str(index), part) for index, part in enumerate(value))
    elif isinstance(value, Mapping):
        yield from ((str(key), part) for key, part in list(value.items()))
    for name, part in getattr(value, "__dict__", {}).items():
        if isinstance(value, nn.Module) and name in _MODULE_S:
            yield from ((key, each) for key, each in part.items() if each is not None)
        else:
            yield name, part


def _lies_somewhere(value: Tensor) -> bool:
    if is_lazy(value) or value.layout is not torch.strided or value.is_meta or not value.numel():
        return False
    try:
        return value.data_ptr() != 0
    except (RuntimeError, NotImplementedError):  # a subclass without memory of its own
        return False


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether they have an element in common: layers of cuDNN's lie side by side in one memory, and share nothing."""
    if one.element_size() != other.element_size():
        return True
    places = torch.zeros(one.untyped_storage().nbytes() // one.element_size(), dtype=torch.bool)
    first, second = (places.as_strided(value.shape, value.stride(), value.storage_offset()) for value in (one, other))
    first.fill_(True)
    return bool(second.any())


def _watched(own: nn.Module, run: Run) -> tuple[set[str], set[str]]:
    """The tensors that one run of a copy of `own` writes, and those that it computes with, by their paths."""
    scratch = copy.deepcopy(own)
    names = {name: value for name, value in held(scratch).items() if _lies_somewhere(value)}
    before = {name: (version(value), value.detach().clone()) for name, value in names.items()}
    read = touched(scratch, run)
    written = {name for name, (number, old) in before.items() if _changed(names[name], number, old)}
    return written, {name for name, value in names.items() if memory(value) in read}


def _changed(value: Tensor, number: int, old: Tensor) -> bool:
    return version(value) != number or not torch.equal(value, old)  # torch's batch_norm counts no version up

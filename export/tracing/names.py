"""Tensors of a model whose names a program needs itself: they go by another one.

A program's inputs are a model's parameters and buffers by name, its data, the hyperparameters and random numbers. A
parameter `lr` beside the learning rate `lr` is `lr_` in the programs; the model's forward pass reads it as before.

    >>> import torch
    >>> class Scaled(torch.nn.Linear):
    ...     def __init__(self):
    ...         super().__init__(4, 3)
    ...         self.lr = torch.nn.Parameter(torch.ones(3))
    >>> from fedrela.export.inputs import parse
    >>> model, said = Scaled(), []
    >>> make_unambiguous(model, Recipe((parse("float32:4"),), classes=3), said.append)
    >>> [name for name, _ in model.named_parameters()], model.lr is model.lr_
    (['weight', 'bias', 'lr_'], True)
"""

import re
from collections.abc import Callable, Collection
from typing import Any

from torch import nn

from fedrela.core.protocol.programs import TOTALS
from fedrela.export.recipe import Recipe

_DRAW = re.compile(r"dropout\.\d+")  # how the random numbers of a model's own are called


def make_unambiguous(model: nn.Module, recipe: Recipe, report: Callable[[str], None]) -> None:
    """Rename, in `model` itself, whatever is called as another input or output of a program is; `report` says so."""
    while taken := _taken(model, recipe):
        name = taken[0]
        path, _, attribute = name.rpartition(".")
        new = _rename(model.get_submodule(path), attribute)
        whole = f"{path}.{new}" if path else new
        report(f"model: its {name!r} is called {whole!r} in the programs, which have a {name!r} of their own")


def _taken(model: nn.Module, recipe: Recipe) -> list[str]:
    """The parameters and buffers whose names mean something else."""
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    tensors = shapes | {name: tuple(value.shape) for name, value in model.named_buffers()}
    others = {raw.name for raw in recipe.inputs} | {"y", "sample_weight", "class_prior", *TOTALS}
    others |= recipe.hyperparameter_defaults().keys() | recipe.augmentation_randoms().keys()
    others |= {item for name, shape in shapes.items() for item in recipe.optimizer.state({name: shape})}
    others |= {f"{prefix}.{name}" for name in tensors for prefix in ("anchor", "new")}
    return [name for name in tensors if name in others or _DRAW.fullmatch(name)]


def _rename(module: nn.Module, attribute: str) -> str:
    """Keep a tensor under a longer name, by which the module's class finds it under the old one, too."""
    new = _free(attribute, dir(module))
    held: tuple[Any, Any] = (module._parameters, module._buffers)
    for tensors in held:
        if attribute in tensors:
            renamed = {new if name == attribute else name: value for name, value in tensors.items()}
            tensors.clear()
            tensors.update(renamed)
    if attribute in module._non_persistent_buffers_set:
        module._non_persistent_buffers_set.add(new)
    kind: Any = type(module)
    found = property(lambda own: getattr(own, new), lambda own, value: setattr(own, new, value))
    body = {attribute: found, "__module__": kind.__module__, "__qualname__": kind.__qualname__}
    module.__class__ = type(kind)(kind.__name__, (kind,), body)
    return new


def _free(name: str, taken: Collection[str]) -> str:
    longer = f"{name}_"
    return longer if longer not in taken else _free(longer, taken)

"""A model's own tensors that its modules hold a second time, in a plain attribute, list or dict.

`torch.func.functional_call` puts others in the place of parameters and buffers, but a forward pass that reads such a
second reference would go on with the old ones: as constants, which nothing trains.

>>> import torch
>>> model = torch.nn.Linear(1, 1)
>>> model.all = {"weight": model.weight}
>>> follow(model, {"weight": torch.ones(1, 1)})
>>> model.all
{'weight': tensor([[1.]])}
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_REGISTERED = frozenset({"_parameters", "_buffers", "_modules"})  # what functional_call looks after


def follow(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Let plain attributes hold the tensors of `state` in place of the model's own, by their names.

    Nothing that was there is changed: a container that holds one is another one afterwards. Call it inside
    `fedrela.export.tracing.forward_pass`, which puts attributes back.
    """
    known = (*model.named_parameters(), *model.named_buffers())
    others = {id(tensor): state[name] for name, tensor in known if name in state}
    for module in model.modules():
        for name, value in list(vars(module).items()):
            if name not in _REGISTERED:
                vars(module)[name] = _followed(value, others)


def _followed(value: Any, others: Mapping[int, Tensor]) -> Any:
    """`value` itself where it holds none of them, at any depth of plain containers."""
    if isinstance(value, Tensor):
        return others.get(id(value), value)
    if isinstance(value, dict):
        items = [_followed(item, others) for item in value.values()]
        if all(new is old for new, old in zip(items, value.values(), strict=True)):
            return value
        copy = value.copy()
        copy.update(zip(value, items, strict=True))
        return copy
    if isinstance(value, list | tuple):
        items = [_followed(item, others) for item in value]
        if all(new is old for new, old in zip(items, value, strict=True)):
            return value
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value

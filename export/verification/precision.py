"""A model in another precision, with all that its forward pass makes itself.

>>> with constants_in(torch.float64):
...     torch.zeros(1).dtype
torch.float64
>>> converted(torch.nn.Linear(1, 1), torch.float64).weight.dtype
torch.float64
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def converted(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy, whose tensors in plain attributes are converted as its parameters and buffers are."""
    own = copy.deepcopy(model).to(dtype)
    registered = {id(value) for value in (*own.parameters(), *own.buffers())}  # held a second time, they stay the same
    for module in own.modules():
        for name, value in vars(module).items():
            if isinstance(value, Tensor) and value.is_floating_point() and id(value) not in registered:
                vars(module)[name] = value.detach().to(dtype)
    return own


@contextmanager
def constants_in(dtype: torch.dtype) -> Iterator[None]:
    """Inside: a tensor that is made without a type of its own has this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)

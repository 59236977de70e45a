"""Eager PyTorch but for two things: random numbers are supplied, and float64, where that is asked for, is all there is.

>>> with Supplied(lambda shape: torch.full(shape, 0.75, dtype=torch.float64), torch.float64):
...     torch.rand(2, dtype=torch.float32), torch.ones(1, dtype=torch.float64).float().dtype
(tensor([0.7500, 0.7500], dtype=torch.float64), torch.float64)
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fedrela.export.layers import supply


class Supplied(TorchFunctionMode):
    """Active inside `with`: random numbers from `uniforms`, float32 by name means `dtype`; nothing else is touched."""

    def __init__(self, uniforms: Callable[[tuple[int, ...]], Tensor], dtype: torch.dtype) -> None:
        super().__init__()
        self._rules = supply.rules(uniforms)
        self._dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self._dtype is not torch.float32:
            func = Tensor.double if func is Tensor.float else func
            args = tuple(self._other(value) for value in args)
            kwargs = {name: self._other(value) for name, value in kwargs.items()}
        return self._rules.get(func, func)(*args, **kwargs)

    def _other(self, value: Any) -> Any:
        return self._dtype if value is torch.float32 else value

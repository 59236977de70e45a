"""Powers, of which ExecuTorch has the kernel for whole exponents alone: products, roots, and powers of e.

>>> import torch
>>> of_tensors(torch.tensor([-2.0, 4.0]), torch.tensor([3.0, 0.5]))
tensor([-8.,  2.])
"""

import math

import torch
from torch import Tensor

from fedrela.export.tracing.trace import WHOLE

_MOST_FACTORS = 8


def of_tensor(x: Tensor, exponent: float) -> Tensor:
    """x to a whole or half exponent up to 8 as products and a root; a larger whole one stays whole (NotImplemented).

    There is no kernel for any other: e to the exponent times log x, which is NaN below 0 as the power is.
    """
    halves = exponent * 2
    if exponent != int(exponent) and (halves != int(halves) or abs(exponent) > _MOST_FACTORS):
        return torch.exp(torch.log(x) * exponent)
    if abs(exponent) > _MOST_FACTORS:
        return WHOLE
    whole, root = divmod(abs(int(halves)), 2)
    factors = [x] * whole + ([torch.sqrt(x)] if root else [])
    if not factors:
        return torch.ones_like(x)
    result = factors[0]
    for factor in factors[1:]:
        result = result * factor
    return torch.reciprocal(result) if exponent < 0 else result


def of_number(number: float, exponent: Tensor) -> Tensor:
    """A number above 0 to each exponent; of any other as if each had a number of its own."""
    dtype = torch.result_type(number, exponent)
    if not dtype.is_floating_point:
        return WHOLE
    if number > 0:
        return torch.exp(exponent.to(dtype) * math.log(number))
    return of_tensors(torch.full((), number, dtype=dtype), exponent)


def of_tensors(x: Tensor, exponent: Tensor) -> Tensor:
    """e to the exponent times log |x|; below 0, with its sign where the exponent is whole, and NaN where it isn't."""
    dtype = torch.result_type(x, exponent)
    if not dtype.is_floating_point:
        return WHOLE
    x, exponent = x.to(dtype), exponent.to(dtype)
    size = torch.where(exponent == 0, 1.0, torch.exp(torch.log(x.abs()) * exponent))
    half = exponent / 2
    signed = torch.where(half.floor() == half, size, -size)
    below = torch.where(exponent.floor() == exponent, signed, math.nan)
    return torch.where(x < 0, below, size)

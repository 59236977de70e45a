"""Every random number that a model asks torch for, made from supplied uniforms.

>>> import torch
>>> sorted({function.__name__ for function in rules(torch.rand)} & {"dropout", "bernoulli_", "randn"})
['bernoulli_', 'dropout', 'randn']
"""

from collections.abc import Callable
from typing import Any

from fedrela.export.layers import draws, dropout


def rules(uniforms: draws.Uniforms) -> dict[Any, Callable[..., Any]]:
    """torch function -> what to call instead: dropout of every kind, and draws of a model's own."""
    return draws.rules(uniforms) | dropout.rules(uniforms)

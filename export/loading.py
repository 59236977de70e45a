"""Reading what a user names on the command line: models, numbers, names.

>>> numbers("0.5,0.25", "--mean")
(0.5, 0.25)
>>> pairs(["momentum=0.9"])
{'momentum': 0.9}
"""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import nn

from fedrela.core import references
from fedrela.core.errors import InvalidInput

T = TypeVar("T")


def load_model(target: str) -> nn.Module:
    """The model that `module:function` (or `file.py:function`) returns. Raises InvalidInput.

    Weights that it draws are the same in every process, so that the same command makes the same bundle; a function that
    seeds torch itself has its own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _load_model(target)


def _load_model(target: str) -> nn.Module:
    named = references.load(target)
    model = named if isinstance(named, nn.Module) else named()
    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f"{target} gives a {type(model).__name__}", remedy="return a torch.nn.Module from that function"
        )
    return model


def numbers(text: str, option: str) -> tuple[float, ...]:
    """Numbers separated by commas."""
    try:
        return tuple(float(part) for part in words(text))
    except ValueError as error:
        raise InvalidInput(f"{option} {text!r} is no list of numbers", remedy="write e.g. 0.5,0.5,0.5") from error


def words(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def pairs(items: Iterable[str]) -> dict[str, float]:
    """name=number items."""
    numbers_by_name = {}
    for item in items:
        name, _, value = item.partition("=")
        try:
            numbers_by_name[name] = float(value)
        except ValueError as error:
            raise InvalidInput(
                f"--hyperparameter {item!r} has no number", remedy="write e.g. --hyperparameter momentum=0.9"
            ) from error
    return numbers_by_name


def under_either_name(name: str, value: T, former_name: str, former_value: T) -> T:
    """What was written as `name` or, as it was called before, as `former_name`. Raises InvalidInput if it was both."""
    if value and former_value:
        raise InvalidInput(
            f"both {name} and {former_name} are there, and {former_name} is what {name} was called before",
            remedy=f"write all of it as {name}",
        )
    return value or former_value

"""Reading what a user names on the command line: models, numbers, names.

>>> numbers("0.5,0.25", "--mean")
(0.5, 0.25)
>>> pairs(["momentum=0.9"])
{'momentum': 0.9}
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fedrela.core.errors import InvalidInput


def load_model(target: str) -> nn.Module:
    """The model that `module:function` (or `file.py:function`) returns. Raises InvalidInput.

    Weights that it draws are the same in every process, so that the same command makes the same bundle; a function that
    seeds torch itself has its own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _load_model(target)


def _load_model(target: str) -> nn.Module:
    module_name, _, attribute = target.rpartition(":")
    if not module_name or not attribute:
        raise InvalidInput(f"{target!r} names no function", remedy="write module:function, e.g. my_module:build")
    module = _import(module_name)
    found = getattr(module, attribute, None)
    if found is None:
        raise InvalidInput(f"{module_name} has no {attribute!r}", remedy="name the function that builds the model")
    model = found if isinstance(found, nn.Module) else found()
    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f"{target} gives a {type(model).__name__}", remedy="return a torch.nn.Module from that function"
        )
    return model


def _import(name: str) -> Any:
    if name.endswith(".py"):
        path = Path(name)
        if not path.is_file():
            raise InvalidInput(f"there is no file {name}", remedy="check the path")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        return module
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a console script doesn't look where it is called
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"module {name!r} can't be imported ({error})",
            remedy="call from the folder that holds it, or write path/to/file.py:function",
        ) from error


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
    found = {}
    for item in items:
        name, _, value = item.partition("=")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise InvalidInput(f"--set {item!r} has no number", remedy="write e.g. --set momentum=0.9") from error
    return found

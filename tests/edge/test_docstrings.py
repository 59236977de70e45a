"""The examples in the docstrings of the device's modules do what they say."""

import doctest
import importlib
import pkgutil

import pytest

import edge
import edge.sources

NAMES = sorted(
    module.name
    for package in (edge, edge.sources)
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + ".")
    if not module.ispkg and "executorch" not in module.name
)


@pytest.mark.parametrize("name", [*NAMES, "edge.sources"])
def test_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0

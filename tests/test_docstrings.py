"""The examples in the docstrings of every module do what they say."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import fedrela


def modules_with_examples() -> list[str]:
    """Names of our modules whose source has an example; none is imported for it."""
    names = []
    for folder in sorted(path for path in Path(fedrela.__path__[0]).iterdir() if path.is_dir()):
        for path in sorted(folder.rglob("*.py")):
            if re.search(r">>> [^#]", path.read_text(encoding="utf-8")):
                parts = path.relative_to(fedrela.__path__[0]).with_suffix("").parts
                names.append(".".join(["fedrela", *parts]).removesuffix(".__init__"))
    return ["fedrela", *names]


@pytest.mark.parametrize("name", modules_with_examples())
def test_docstrings(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert results.failed == 0
    assert results.attempted > 0


def test_every_package_is_looked_through() -> None:
    assert {name.split(".")[1] for name in modules_with_examples()[1:]} >= {"core", "edge", "coordinator", "export"}
    assert all(module.name in {"cli", "__main__"} or module.ispkg for module in pkgutil.iter_modules(fedrela.__path__))

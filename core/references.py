"""What a user names as `module:name` or `file.py:name`: a model, a loss, a data set, a source.

The folder where a command is called, and that of a file that is named, are searched last and for nothing else, so that
no file of the user's own stands in for a module of ours or of a library.

    >>> load("fractions:Fraction")(1, 2)
    Fraction(1, 2)
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from fedrela.core.errors import InvalidInput

_PACKAGE = Path(__file__).parents[1]
# What our packages were called before they had a name of their own.
_FORMER = {
    "export.models": "fedrela.export.models",
    "export.losses": "fedrela.export.losses",
    "export.heads": "fedrela.export.heads",
    "study.models": "fedrela.study.models",
    "study.losses": "fedrela.study.losses",
}


def load(reference: str) -> Any:
    """The object that `reference` names. Raises InvalidInput where there is no such file, module or name."""
    module_name, _, name = reference.rpartition(":")
    if not module_name or not name:
        raise InvalidInput(f"{reference!r} names no function", remedy="write module:function, e.g. my_module:build")
    module = _from_file(Path(module_name)) if module_name.endswith(".py") else _by_name(module_name)
    try:
        return getattr(module, name)
    except AttributeError as error:
        raise InvalidInput(f"{module_name} has no {name!r}", remedy="check the name behind the colon") from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InvalidInput(f"there is no file {path}", remedy="check the path")
    name = f"{path.stem}_file" if _is_taken(path) else path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    _search_last(path.parent.resolve())  # for what lies beside it
    spec.loader.exec_module(module)
    return module


def _is_taken(path: Path) -> bool:
    """Whether a module that isn't this file has its name: whoever imports that module must not get this file."""
    try:
        spec = importlib.util.find_spec(path.stem)
    except ImportError:
        return False
    except ValueError:  # a module that nothing was loaded for, like __main__
        return True
    return spec is not None and (spec.origin is None or Path(spec.origin).resolve() != path.resolve())


def _by_name(name: str) -> ModuleType:
    _search_last(Path.cwd())  # a console script doesn't look where it is called
    try:
        return importlib.import_module(_today(name))
    except ImportError as error:
        raise InvalidInput(
            f"module {name!r} can't be imported ({error})",
            remedy="call from the folder that holds it, or write path/to/file.py:function",
        ) from error


def _search_last(folder: Path) -> None:
    if str(folder) not in {str(Path(entry).resolve()) for entry in sys.path}:
        sys.path.append(str(folder))


def _today(name: str) -> str:
    """A former name of ours as it is now, and a word about it; unless the user has a module of that name."""
    if name not in _FORMER or _is_the_users(name):
        return name
    print(f"note: {name} is now called {_FORMER[name]}; write that", file=sys.stderr)
    return _FORMER[name]


def _is_the_users(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except ImportError:
        return False
    return spec is not None and spec.origin is not None and not _is_ours(Path(spec.origin))


def _is_ours(path: Path) -> bool:
    """In a checkout our folders can be found under their bare names too."""
    return any(path.resolve().is_relative_to(folder.resolve()) for folder in _PACKAGE.iterdir() if folder.is_dir())

"""Which tests wait for time, for other threads or processes, or for a network: those that a busy machine may upset.

Nobody marks them by hand, so none is forgotten: a test waits if its own code, a fixture that it asks for, or anything
of the tests' or the benchmarks' that these call by name uses one of the modules below. What only computes never does.
"""

import inspect
import types
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

MODULES = {"asyncio", "multiprocessing", "select", "signal", "socket", "subprocess", "threading", "concurrent.futures"}
IMPORTED = {"asyncio", "multiprocessing", "subprocess", "threading"}  # what an import inside a function is known by
CLOCK = {"sleep", "monotonic", "perf_counter", "time"}  # of the module `time`
OURS = ("tests", "benchmarks", "fedrela.emulator.pytest_plugin", "fedrela.emulator.connections.local_coordinator")


def waits(item: pytest.Function) -> bool:
    """Whether a test does."""
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    functions = [item.function, *(definition.func for definitions in fixtures for definition in definitions)]
    seen: set[int] = set()
    return any(code_waits(function, seen) for function in functions)


def code_waits(value: Any, seen: set[int]) -> bool:
    """Whether a function or a class of ours does, or what it names. `seen`: ids of what was looked at before."""
    if id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, partial):
        return code_waits(value.func, seen)
    if inspect.isclass(value):
        return any(
            code_waits(member, seen) for base in value.__mro__ for member in vars(base).values() if _is_ours(base)
        )
    function = inspect.unwrap(getattr(value, "__func__", None) or getattr(value, "fget", None) or value)
    if not isinstance(function, types.FunctionType) or not _is_ours(function):
        return False
    if any(IMPORTED & set(code.co_names) for code in _codes(function)):
        return True
    return any(_is_clockwork(named, code) or code_waits(named, seen) for named, code in _named(function))


def _is_ours(value: Callable[..., Any] | type) -> bool:
    return (value.__module__ or "").startswith(OURS)


def _codes(function: types.FunctionType) -> list[types.CodeType]:
    """A function's code, and that of the functions inside it."""
    codes = [function.__code__]
    for code in codes:
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return codes


def _named(function: types.FunctionType) -> Iterator[tuple[Any, types.CodeType]]:
    """Everything global that a function's code names, with that code; of a module of ours the part that it names."""
    for code in _codes(function):
        for name in code.co_names:
            if name in function.__globals__:
                named = function.__globals__[name]
                yield named, code
                if isinstance(named, types.ModuleType) and _is_ours_by_name(named):
                    yield from ((vars(named)[inner], code) for inner in code.co_names if inner in vars(named))


def _is_ours_by_name(module: types.ModuleType) -> bool:
    return module.__name__.startswith(OURS)


def _is_clockwork(named: Any, code: types.CodeType) -> bool:
    """Whether this is one of the modules, or something of theirs."""
    if isinstance(named, types.ModuleType):
        return named.__name__ in MODULES or (named.__name__ == "time" and bool(CLOCK & set(code.co_names)))
    home = getattr(named, "__module__", None) or ""
    return any(home == module or home.startswith(f"{module}.") for module in MODULES)

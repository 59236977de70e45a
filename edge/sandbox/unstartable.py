"""What its owner is told where a runtime's process doesn't start: which package, which version, and what to do.

A runtime that dies while it is imported, as on a processor that lacks an instruction, takes its process with it. So its
version is read from the package's own metadata: nothing is imported to find out.

    raise error(("onnx",), "the runtime's process ended with signal 11 (its start)")
"""

import shlex
import sys
from collections.abc import Iterable
from importlib import metadata

from fedrela.core import interpreter
from fedrela.core.environment import extras
from fedrela.core.errors import MissingDependency

PACKAGES = {"onnx": "onnxruntime", "executorch": "executorch"}  # runtime -> its distribution


def error(runtimes: Iterable[str], problem: str) -> MissingDependency:
    """Of a process for these runtimes that did not start; `problem`: what became of it."""
    names = tuple(runtimes)
    here = ", ".join(_named(PACKAGES.get(name, name)) for name in names)
    return MissingDependency(f"no process for the runtime ({here}) can be started: {problem}", remedy=remedy(names))


def remedy(runtimes: Iterable[str]) -> str:
    """How to see the fault by itself, and the way out, with the interpreter that runs here."""
    names = tuple(runtimes)
    alone = shlex.join(interpreter.command("fedrela.edge.sandbox.warm_up", *names))
    ways = [way for name in names if (way := _another(PACKAGES.get(name, name)))]
    return "; ".join([f"see what it says by itself: {alone}", *ways])


def installed(distribution: str) -> str:
    """Its version here, without importing it; empty where it isn't installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _named(distribution: str) -> str:
    return f"{distribution} {installed(distribution) or 'of unknown version'}"


def _another(distribution: str) -> str:
    """Another version that this package allows; nothing where the metadata name no lowest one."""
    lowest, here = extras.lowest(distribution), installed(distribution)
    if not lowest:
        return ""
    wanted = [f"{distribution}=={lowest}"] if here != lowest else ["--upgrade", distribution]
    line = shlex.join([sys.executable, "-m", "pip", "install", *wanted])
    return f"another version of the runtime may work on this processor: {line}"

"""Whether this machine can run programs at all: a runtime is started once, as a device starts it, and ended again.

runtime_trial.started("onnx")        # "onnx 1.32.0"
runtime_trial.usable()               # "onnx"
"""

from contextlib import closing

from fedrela.core.errors import MissingDependency
from fedrela.edge.sandbox import unstartable
from fedrela.edge.sandbox.process import Sandbox

USUAL = "onnx"  # what `fedrela device run` takes


def started(runtime: str) -> str:
    """Name and version of a runtime, once it has computed something. Raises MissingDependency where it doesn't."""
    with closing(Sandbox((runtime,))) as sandbox:
        return f"{runtime} {sandbox.version(runtime)}"


def usable() -> str:
    """The runtime that a device would use: the usual one, or where that doesn't start another that is installed.

    Raises MissingDependency, on the usual one, where none starts.
    """
    try:
        started(USUAL)
        return USUAL
    except MissingDependency:
        for other, package in unstartable.PACKAGES.items():
            if other != USUAL and unstartable.installed(package) and _starts(other):
                return other
        raise


def _starts(runtime: str) -> bool:
    try:
        return bool(started(runtime))
    except MissingDependency:
        return False

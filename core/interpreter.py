"""Processes of ours that run Python: the same interpreter, the same package, and nothing from the caller's folder.

subprocess.run(command("fedrela", "export", ...), env=environment())
with safe_children():
    multiprocessing.get_context("spawn").Process(target=work).start()
"""

import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOME = Path(__file__).parents[2]  # the folder that holds the package
QUIET = {"ORT_DISABLE_TELEMETRY": "1"}  # see fedrela/__init__.py


def command(module: str, *arguments: str) -> list[str]:
    """`python -m module arguments`, without the caller's folder in front of every other one (-P)."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment; where the package isn't installed, with the place that it was found in.

    The runtime's telemetry is off in it, whatever the program that holds us has done to its own.
    """
    own = os.environ | QUIET
    found_by_path = str(HOME) in {os.path.abspath(entry) for entry in sys.path}
    if not found_by_path or str(HOME) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return own
    places = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), str(HOME)]
    return own | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}


def telemetry_is_on() -> bool:
    """Whether the program that holds us loaded ONNX Runtime, before us, in a way that sends events to its vendor."""
    return "onnxruntime" in sys.modules and any(os.environ.get(name) != value for name, value in QUIET.items())


@contextmanager
def safe_children() -> Iterator[None]:
    """What command()'s -P does, for the Python processes that a library starts meanwhile (multiprocessing, uvicorn).

    Until such a process is told this one's sys.path, it would take even the standard library from the caller's folder.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before

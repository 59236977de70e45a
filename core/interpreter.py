"""Processes of ours that run Python: the same interpreter, the same package, and nothing from the caller's folder.

subprocess.run(command("fedrela", "export", ...), env=environment())
"""

import os
import sys
import sysconfig
from pathlib import Path

_HOME = Path(__file__).parents[2]  # the folder that holds the package


def command(module: str, *arguments: str) -> list[str]:
    """`python -m module arguments`, without the caller's folder in front of every other one (-P)."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment; where the package isn't installed, with the place that it was found in."""
    found_by_path = str(_HOME) in {os.path.abspath(entry) for entry in sys.path}
    if not found_by_path or str(_HOME) in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        return dict(os.environ)
    places = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), str(_HOME)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(dict.fromkeys(places))}

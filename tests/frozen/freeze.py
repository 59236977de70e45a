"""Keeps today's device and coordinator as they are, so that a test can have them meet later ones.

    python -m tests.frozen.freeze       # writes tests/frozen/VERSION.zip, once for each version that is released

A frozen version is what its wheel holds of a device and a coordinator. It never changes: where it no longer works with
today's, today's is wrong, or the version of the protocol has to go up. The page isn't kept, since a coordinator serves
its own.
"""

import sys
import tempfile
import zipfile
from pathlib import Path

from fedrela import __version__
from tests.packaging import distributions

HERE = Path(__file__).parent
ROOMS = ("core", "edge", "coordinator")


def belongs(name: str) -> bool:
    """Whether a file of the wheel is part of a device or of a coordinator."""
    parts = name.split("/")
    return parts[0] == "fedrela" and (len(parts) == 2 or parts[1] in ROOMS)


def freeze(folder: Path) -> Path:
    """Write the archive of the tracked files as they are now. Raises FileExistsError where there is one."""
    target = folder / f"{__version__}.zip"
    with tempfile.TemporaryDirectory() as name:
        tree = distributions.copy_tracked_files(Path(name) / "tree")
        wheel = distributions.build("build_wheel", tree, Path(name) / "wheel")
        with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(target, "x") as kept:
            for member in sorted(filter(belongs, whole.namelist())):
                kept.writestr(zipfile.ZipInfo(member), whole.read(member), zipfile.ZIP_DEFLATED, 9)
    return target


if __name__ == "__main__":
    path = freeze(HERE)
    print(f"{path}: {path.stat().st_size} bytes", file=sys.stderr)

"""The wheel and the sdist, built from a copy of the tracked files, and the wheel installed as a user has it.

The phone page is in them where it is built.

Nothing here needs a network: setuptools is the newest that this Python finds, and what the package depends on is the
test suite's own, which the fresh environment is shown by a .pth file. Such a file is not read for the .pth files in the
folders that it names, so our editable install is not active there.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = "coordinator/pages/static/join"  # not tracked: `make web` writes it
BUILD = "import sys; sys.path.append(sys.argv[1]); from setuptools import build_meta as b; b.{hook}(sys.argv[2])"
SCRIPT = """\
#!{python}
import sys
from {module} import {function}
if __name__ == "__main__":
    sys.exit({function}())
"""


def copy_tracked_files(target: Path) -> Path:
    """What git tracks, as it is in the working tree now; links stay links."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        source, copy = ROOT / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            copy.symlink_to(source.readlink())
        elif source.exists():
            copy.write_bytes(source.read_bytes())
    return target


def copy_with_page(target: Path) -> Path:
    """The tracked files, and the phone page if it is built."""
    copy_tracked_files(target)
    if (ROOT / PAGE / "files.json").is_file():
        shutil.copytree(ROOT / PAGE, target / PAGE)
    return target


def build(hook: str, source: Path, out: Path) -> Path:
    """What `build_wheel` or `build_sdist` makes of `source`, with setuptools and nothing else to import or to call."""
    done = attempt(hook, source, out)
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.iterdir()
    return made


def attempt(hook: str, source: Path, out: Path, *, programs: str = "") -> subprocess.CompletedProcess[str]:
    """Run a hook of the build; `programs`: the only folder in which it finds programs, such as npm."""
    out.mkdir(parents=True)
    installed = max(metadata.distributions(name="setuptools"), key=lambda found: int(found.version.split(".")[0]))
    command = [sys.executable, "-P", "-S", "-c", BUILD.format(hook=hook), str(installed.locate_file("")), str(out)]
    environment = os.environ | {"PATH": programs}
    return subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)


def unpack(sdist: Path, folder: Path) -> Path:
    """The one folder that an sdist holds."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def install(wheel: Path, folder: Path, *, scripts: Iterable[str]) -> Path:
    """A fresh environment with the wheel, and with the named console scripts of what the suite has; its bin folder."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-P", "-m", "pip", "--python", str(python), "install", "--quiet", "--no-index", "--no-deps"]
    done = subprocess.run([*pip, str(wheel)], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (own,) = folder.glob("lib/python*/site-packages")
    lent = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    (own / "lent.pth").write_text("\n".join(lent) + "\n")
    for name in scripts:
        (point,) = metadata.entry_points(group="console_scripts", name=name)
        script = python.with_name(name)
        script.write_text(SCRIPT.format(python=python, module=point.module, function=point.attr))
        script.chmod(0o755)
    return python.parent


def environment(**variables: str) -> dict[str, str]:
    """This process's, without what would lead a child back to this checkout or tell it that it is part of a test."""
    ours = ("PYTHON", "PYTEST", "FEDRELA", "COV_", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | variables

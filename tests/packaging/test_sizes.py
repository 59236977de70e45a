"""How much a device installs: what the edge extra needs, as it lies in this environment, and the wheel of a release."""

import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

from fedrela.core.environment import extras
from tests.packaging import distributions, release

MOST_BYTES = 255_000_000  # on Linux, without the interpreter
PROJECT = tomllib.loads((distributions.ROOT / "pyproject.toml").read_text())["project"]


def closure(names: set[str]) -> set[str]:
    """The packages, and all that they need here."""
    seen: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop().lower().replace("_", "-")
        try:
            needed = [] if name in seen else metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # for another system, or an older Python
        seen.add(name)
        pending += [re.split(r"[^\w.-]", text)[0] for text in needed if "extra ==" not in text]
    return seen


def size(name: str) -> int:
    """Bytes of a package's files."""
    files = [Path(file.locate()) for file in metadata.files(name) or []]
    return sum(file.stat().st_size for file in files if file.is_file())


def test_a_device_installs_no_more_than_its_bar(wheel: Path) -> None:
    named = {re.split(r"[^\w.-]", text)[0] for text in PROJECT["dependencies"]} | set(extras.requirements("edge"))
    sizes = {name: size(name) for name in closure(named)}
    with ZipFile(wheel) as opened:
        sizes["fedrela"] = sum(item.file_size for item in opened.infolist() if distributions.PAGE not in item.filename)
    assert sum(sizes.values()) + release.MOST_BYTES_OF_PAGE < MOST_BYTES, sizes


def test_make_says_how_much_comes_and_how_to_have_less_before_it_installs(tmp_path: Path) -> None:
    command = ["make", "--dry-run", "install", f"VENV={tmp_path / 'new'}"]
    told = subprocess.run(command, cwd=distributions.ROOT, capture_output=True, text=True, check=True).stdout
    said, installs = told.index("PIP_EXTRA_INDEX_URL="), told.index("pip install")
    assert said < installs
    assert re.search(r"[\d.]+ GB with PyTorch's CPU build, [\d.]+ GB with PyPI's CUDA build", told[:installs])

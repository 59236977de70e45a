"""Where things lie: folders and files small enough to be read, and a table of packages that the tree agrees with."""

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.test_house import ALLOWED, LEAVES, product_files

ROOT = Path(__file__).parents[1]
FILES_IN_A_FOLDER = 20
LINES_IN_A_FILE = 250


def hand_written():
    """Modules that a person wrote: what git tracks or would, so that nothing built or installed is counted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.py", "*.ts", "*.kt"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in filter(None, listed.split("\0")) if (ROOT / name).is_file()]


def test_no_folder_holds_more_files_than_a_reader_keeps_in_mind():
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in hand_written())
    assert {folder: count for folder, count in counts.items() if count > FILES_IN_A_FOLDER} == {}


def test_no_file_is_longer_than_a_reader_keeps_in_mind():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in hand_written()}
    assert {name: lines for name, lines in lengths.items() if lines > LINES_IN_A_FILE} == {}


def test_every_folder_of_python_is_in_the_table_of_packages():
    modules = [path for path in hand_written() if path.suffix == ".py" and path != ROOT / "setup.py"]
    folders = {path.relative_to(ROOT).parts[0] for path in modules}
    assert folders == set(ALLOWED) | LEAVES | {"fedrela"}


def test_the_links_of_the_package_are_the_table():
    links = {path.name: str(path.readlink()) for path in (ROOT / "fedrela").iterdir() if path.is_symlink()}
    assert links == {name: f"../{name}" for name in ALLOWED}


@pytest.mark.parametrize("package", [*ALLOWED, "fedrela"])
def test_what_a_module_may_import_is_said_by_the_table_alone(package):
    for path in product_files(package):
        assert not re.search(r"\bmay import\b", path.read_text(), re.IGNORECASE), path

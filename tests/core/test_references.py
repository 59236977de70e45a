"""What a user may name, and that no name of theirs stands in for a module of ours or of a library."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from fedrela.core import references
from fedrela.core.errors import InvalidInput
from fedrela.export import losses as our_losses

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that the caller is in. Nothing is searched but what is installed; what was imported is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry not in ("", str(ROOT), str(tmp_path))])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if name.split(".")[0] in ("export", "study") or file.startswith(str(tmp_path)):
            del sys.modules[name]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_a_name_of_an_installed_module() -> None:
    assert references.load("fractions:Fraction") is Fraction
    assert references.load("fedrela.export.losses:cross_entropy") is our_losses.cross_entropy


def test_a_name_of_a_file(here: Path) -> None:
    write(here / "models" / "mine.py", "def build():\n    return 7\n")
    assert references.load("models/mine.py:build")() == 7
    assert references.load(f"{here}/models/mine.py:build")() == 7


def test_a_file_finds_what_lies_beside_it(here: Path) -> None:
    write(here / "models" / "beside_it.py", "WIDTH = 7\n")
    write(here / "models" / "net.py", "import beside_it\ndef width():\n    return beside_it.WIDTH\n")
    assert references.load("models/net.py:width")() == 7


def test_a_file_is_read_anew_each_time(here: Path) -> None:
    write(here / "counted.py", "size = 1\n")
    assert references.load("counted.py:size") == 1
    write(here / "counted.py", "size = 1000\n")
    assert references.load("counted.py:size") == 1000


@pytest.mark.parametrize("library", ["numpy", "colorsys", "fedrela", "__main__"])
def test_a_file_named_like_a_module_does_not_take_its_place(here: Path, library: str) -> None:
    sys.modules.pop("colorsys", None)  # not imported yet
    before = sys.modules.get(library)
    write(here / f"{library}.py", "build = 'mine'\n")
    assert references.load(f"{library}.py:build") == "mine"
    assert sys.modules.get(library) is before


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        ("nothing", r"'nothing' names no function; write module:function"),
        (":build", "names no function"),
        ("mine.py:", "names no function"),
        ("absent.py:build", r"no file absent\.py; check the path"),
        ("absent.module:build", r"'absent\.module' can't be imported.*call from the folder that holds it"),
        ("fractions:absent", "fractions has no 'absent'; check the name behind the colon"),
        ("mine.py:absent", r"mine\.py has no 'absent'"),
        ("needs:build", r"'needs' can't be imported \(No module named 'not_installed'\)"),
    ],
)
def test_what_is_not_there_is_said(here: Path, reference: str, problem: str) -> None:
    write(here / "mine.py", "")
    write(here / "needs.py", "import not_installed\n")
    with pytest.raises(InvalidInput, match=problem):
        references.load(reference)


def test_the_callers_folder_is_searched_and_last(here: Path) -> None:
    sys.modules.pop("colorsys", None)
    write(here / "colorsys.py", "rgb_to_hsv = 'mine'\n")
    write(here / "my_model.py", "build = 'mine'\n")
    assert references.load("my_model:build") == "mine"
    assert sys.path[-1] == str(here)
    assert references.load("colorsys:rgb_to_hsv") != "mine"
    assert sys.path.count(str(here)) == 1


def test_a_former_name_gives_todays_and_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert references.load("export.losses:cross_entropy") is our_losses.cross_entropy
    printed = capsys.readouterr()
    assert printed.err == "note: export.losses is now called fedrela.export.losses; write that\n"
    assert printed.out == ""


def test_inside_a_checkout_too(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """There `export.losses` can be imported under its bare name, as a second copy of the module."""
    monkeypatch.chdir(ROOT)
    assert references.load("export.losses:cross_entropy") is our_losses.cross_entropy
    assert "is now called fedrela.export.losses" in capsys.readouterr().err


def test_a_users_module_of_a_former_name_is_theirs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here / "export" / "__init__.py", "")
    write(here / "export" / "losses.py", "cross_entropy = 'mine'\n")
    assert references.load("export.losses:cross_entropy") == "mine"
    assert capsys.readouterr().err == ""


def test_a_users_module_that_only_starts_alike_is_not_meant(here: Path) -> None:
    write(here / "export.py", "losses = 'mine'\n")
    assert references.load("export.losses:cross_entropy") is our_losses.cross_entropy


@pytest.mark.parametrize("name", references._FORMER.values())
def test_todays_names_exist(name: str) -> None:
    assert references._by_name(name).__name__ == name

"""What we publish: the wheel holds `fedrela` and nothing else, and the sdist makes the same wheel."""

import subprocess
import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

import fedrela
from fedrela.cli import VERBS
from tests.packaging import distributions

ROOT = Path(__file__).parents[2]
PACKAGES = ("conformance", "coordinator", "core", "edge", "emulator", "export", "study")
# Beside the modules: folders whose every tracked file is part of the product.
DATA = (
    "conformance/vectors",
    "coordinator/pages/templates",
    "coordinator/pages/static",
    "emulator/scenarios",
    "emulator/templates",
    "study/results",
    "study/settings",
)


@pytest.fixture(scope="module")
def of_the_tree(tmp_path_factory):
    """The wheel that is made of the tree without an sdist between."""
    folder = tmp_path_factory.mktemp("of-the-tree")
    return distributions.build("build_wheel", distributions.copy_with_page(folder / "tree"), folder / "wheel")


def tracked(*folders):
    listed = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in filter(None, listed.stdout.split("\0")) if (ROOT / name).exists()}


def built_page():
    """The files of the phone page, where it is built."""
    page = ROOT / distributions.PAGE
    built = page.rglob("*") if (page / "files.json").is_file() else ()
    return {str(path.relative_to(ROOT)) for path in built if path.is_file()}


def content(wheel):
    return set(ZipFile(wheel).namelist())


def in_package(names):
    return {name for name in names if name.startswith("fedrela/")}


def test_the_wheels_top_level_is_the_package_and_its_metadata(wheel):
    version = fedrela.__version__
    assert {name.split("/")[0] for name in content(wheel)} == {"fedrela", f"fedrela-{version}.dist-info"}
    assert wheel.name == f"fedrela-{version}-py3-none-any.whl"


def test_the_wheel_holds_every_module_and_every_data_file_and_no_more(wheel):
    modules = {name for name in tracked(*PACKAGES) if name.endswith(".py")}
    pages = {name for name in tracked("conformance") if name.endswith(".md")}
    assert len(pages) == 6
    data = tracked(*DATA) | pages | {"study/pages/page.html"}
    root = {name for name in tracked("fedrela") if not (ROOT / name).is_symlink()}
    assert "fedrela/py.typed" in root
    assert in_package(content(wheel)) == {f"fedrela/{name}" for name in modules | data | built_page()} | root


@pytest.mark.parametrize("folder", DATA)
def test_no_kind_of_data_is_missing_where_it_was_tracked(folder):
    assert tracked(folder)


def test_the_sdist_makes_the_same_wheel_and_holds_no_tests(wheel, of_the_tree, sdist, tmp_path):
    source = distributions.unpack(sdist, tmp_path / "source")
    names = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    assert not any(path.is_symlink() for path in source.rglob("*")), "a link would need the folders beside it"
    assert in_package(content(wheel)) == in_package(names)
    strays = {name.split("/")[0] for name in names} - {"fedrela", "fedrela.egg-info"}
    assert strays == {"LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"}
    assert content(of_the_tree) == content(wheel)
    with ZipFile(wheel) as one, ZipFile(of_the_tree) as other:
        for name in in_package(content(wheel)):
            assert one.read(name) == other.read(name), name


def test_nothing_untracked_gets_into_a_build(tmp_path):
    copy = distributions.copy_tracked_files(tmp_path / "tree")
    assert (copy / "fedrela" / "core").readlink() == Path("../core")
    assert not (copy / ".venv").exists()
    assert not any(copy.rglob("__pycache__"))


def test_metadata_name_every_extra_that_a_verb_asks_for(wheel):
    name = f"fedrela-{fedrela.__version__}.dist-info/METADATA"
    lines = ZipFile(wheel).read(name).decode().splitlines()
    extras = {line.split(": ")[1] for line in lines if line.startswith("Provides-Extra: ")}
    assert {verb.extra for verb in VERBS.values()} <= extras


def test_the_sdist_is_one_folder(sdist):
    with tarfile.open(sdist) as archive:
        assert {name.split("/")[0] for name in archive.getnames()} == {f"fedrela-{fedrela.__version__}"}

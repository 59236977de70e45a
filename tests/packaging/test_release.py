"""What `make dist` makes of a page that was built, what it refuses to release, and when an install builds the page."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.packaging import distributions, release

PAGE = f"fedrela/{distributions.PAGE}"
SOURCES = ("web/src/page/main.ts", "web/public/sw.js", "web/index.html", "web/vite.config.ts", "web/package-lock.json")
RUNTIME = "assets/runtime.wasm.br"
NPM = """\
#!/bin/sh
echo "$1" >> called
[ "$1" = "{fails}" ] && exit 1
page=../fedrela/coordinator/pages/static/join
[ "$1" = run ] && /bin/mkdir -p $page && echo "<html>" > $page/index.html && echo {{}} > $page/files.json
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What of a checkout has a say in this, beside a package of two modules: a build of it is quick."""
    root = tmp_path / "checkout"
    for name in ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py", "fedrela/__init__.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(distributions.ROOT / name, root / name)
    for name in ("fedrela/coordinator/__init__.py", "fedrela/coordinator/pages/__init__.py", *SOURCES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


@pytest.fixture
def built(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose phone page is built: a small one."""
    page = checkout / PAGE
    (page / "assets").mkdir(parents=True)
    for name in ("index.html", RUNTIME, "files.json"):
        (page / name).write_text("small")
    monkeypatch.setattr(distributions, "copy_with_page", lambda target: shutil.copytree(checkout, target))
    return checkout


def test_the_page_is_in_both_and_the_metadata_are_whole(built: Path, tmp_path: Path) -> None:
    sdist, wheel = release.make(tmp_path / "dist")
    assert release.faults(wheel) == []
    source = distributions.unpack(sdist, tmp_path / "source")
    assert (source / PAGE / RUNTIME).read_text() == "small"


def test_a_wheel_without_its_page_or_with_a_large_one_is_not_released(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "MOST_BYTES_OF_PAGE", 10)
    _, large = release.make(tmp_path / "dist")
    (fault,) = release.faults(large)
    assert "bytes installed, 10 are allowed" in fault
    with ZipFile(large) as whole, ZipFile(tmp_path / "bare.whl", "w") as bare:
        for name in whole.namelist():
            if "/join/" not in name:
                bare.writestr(name, whole.read(name))
    assert release.faults(tmp_path / "bare.whl") == ["the phone page is not in it: make web"]


@pytest.mark.parametrize(
    ("fails", "called", "line"),
    [
        ("nothing", "ci\nrun\n", ""),
        ("ci", "ci\n", "`npm ci` failed"),
        ("run", "ci\nrun\n", "`npm run` failed"),
        (None, "", "Node.js is not installed"),
    ],
)
def test_an_install_builds_the_page_or_says_in_a_line_what_is_missing(
    fails: str | None, called: str, line: str, checkout: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    if fails is not None:
        (tmp_path / "bin" / "npm").write_text(NPM.format(fails=fails))
        (tmp_path / "bin" / "npm").chmod(0o755)
    done = distributions.attempt("build_wheel", checkout, tmp_path / "wheel", programs=str(tmp_path / "bin"))
    assert done.returncode == 0, done.stderr
    said = [text for text in done.stderr.splitlines() if "phone page" in text]
    assert (len(said), line in "".join(said)) == (1 if line else 0, True)
    log = checkout / "web" / "called"
    assert (log.read_text() if log.exists() else "") == called
    (wheel,) = (tmp_path / "wheel").iterdir()
    names = ZipFile(wheel).namelist()
    assert (f"{PAGE}/index.html" in names) == (not line)
    assert "fedrela/coordinator/pages/__init__.py" in names


def test_a_page_that_is_as_new_as_its_sources_is_not_built_again(built: Path, tmp_path: Path) -> None:
    files = built / PAGE / "files.json"
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npm").write_text(NPM.format(fails="nothing"))
    (tmp_path / "bin" / "npm").chmod(0o755)
    for age, calls in ((0.0, False), (-1e6, True)):
        os.utime(files, (files.stat().st_atime, files.stat().st_mtime + age))
        distributions.attempt("build_sdist", built, tmp_path / f"sdist{age}", programs=str(tmp_path / "bin"))
        assert (built / "web" / "called").exists() == calls


def test_it_needs_no_package_of_ours_or_anybodys_to_be_installed() -> None:
    subprocess.run([sys.executable, "-S", "-c", "import tests.packaging.release"], cwd=distributions.ROOT, check=True)


def test_make_dist_asks_for_the_setuptools_that_a_build_asks_for() -> None:
    (needed,) = tomllib.loads((distributions.ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert f".venv-dist/bin/pip install --quiet '{needed}' twine" in (distributions.ROOT / "Makefile").read_text()

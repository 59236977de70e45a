"""Builds the phone page into the package where Node.js is at hand. Everything else is said by pyproject.toml.

Without Node.js, or where the build fails, the package is whole but for that page, and one line says so.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

ROOT = Path(__file__).parent
WEB = ROOT / "web"  # not in an sdist, which holds the built page
PAGE = ROOT / "fedrela" / "coordinator" / "pages" / "static" / "join"
SOURCES = ("src", "public", "index.html", "vite.config.ts", "package-lock.json")


def build_page() -> None:
    """Build the page, unless it is there and as new as its sources."""
    if not WEB.is_dir() or _is_new():
        return
    npm = shutil.which("npm")
    if npm is None:
        _say("Node.js is not installed")
        return
    for words in (("ci", "--no-fund", "--no-audit"), ("run", "build")):
        if subprocess.run([npm, *words], cwd=WEB, stdout=sys.stderr, check=False).returncode:
            shutil.rmtree(PAGE, ignore_errors=True)  # half a page is none
            _say(f"`npm {words[0]}` failed; it needs Node.js 20.19 or newer")
            return


def _is_new() -> bool:
    built = PAGE / "files.json"  # written last
    files = [path for name in SOURCES for path in (WEB / name, *(WEB / name).rglob("*")) if path.is_file()]
    return built.is_file() and built.stat().st_mtime >= max(path.stat().st_mtime for path in files)


def _say(why: str) -> None:
    there = "as it was built before" if (PAGE / "files.json").is_file() else "missing"
    print(f"the phone page is {there} ({why}); all else is whole. It needs Node.js; a released wheel has it",
          file=sys.stderr)  # fmt: skip


class BuildWithPage(build_py):
    """The modules and data files, the page among them; an editable installation has it from `make web`."""

    def run(self) -> None:
        if not self.editable_mode:
            build_page()
        super().run()


class SdistWithPage(sdist):
    """The sources, with the page instead of its own."""

    def run(self) -> None:
        build_page()
        super().run()


setup(cmdclass={"build_py": BuildWithPage, "sdist": SdistWithPage})

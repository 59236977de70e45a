"""What Maven builds, for the tests that look at it or run it."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = ("mvn", "javac", "zip", "unzip")
AWAY = re.compile(r"Could not (transfer|resolve|find) |Non-resolvable|was not found in .+ during a previous attempt")


@pytest.fixture(scope="session")
def built(made_once: Callable[[str, Callable[[Path], Any]], Any]) -> None:
    """`make android`, once for all workers: the libraries and the sample's APK, built and tested.

    Left out, which fails in CI, where there is no Maven or its artifacts can't be fetched.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"the Kotlin client needs a JDK 17, Maven and zip; there is no {', '.join(missing)}")
    status, said = made_once("android", _make)
    if status and AWAY.search(said):
        pytest.skip("the Kotlin client is built from artifacts that can't be fetched now")
    assert status == 0, said


def _make(folder: Path) -> tuple[int, str]:
    """The exit status of `make android`, and all that it said."""
    environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}}
    done = subprocess.run(
        ["make", "--no-print-directory", "android"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout

"""The Kotlin client as a command."""

import shlex

import pytest

from benchmarks.processes.kotlin_victim import JAVA, MAIN

# What a file of tests says of itself that looks at what Maven builds, or runs it (`built`: tests/android/conftest.py).
KOTLIN = [pytest.mark.android, pytest.mark.usefixtures("built")]


def words(verb: str, **options: object) -> list[str]:
    """A command: `words("once", state=folder)`."""
    return [*JAVA, MAIN, verb, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def line(verb: str, **options: object) -> str:
    """The same as one line of a shell."""
    return shlex.join(words(verb, **options))

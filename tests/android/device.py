"""The Kotlin client as a command. `make test-android` builds it first."""

import shlex

from benchmarks.processes.kotlin_victim import JAVA, MAIN


def words(verb: str, **options: object) -> list[str]:
    """A command: `words("once", state=folder)`."""
    return [*JAVA, MAIN, verb, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def line(verb: str, **options: object) -> str:
    """The same as one line of a shell."""
    return shlex.join(words(verb, **options))

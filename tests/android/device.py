"""The Kotlin client as a command. `make test-android` builds it first."""

import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGET = ROOT / "android" / "cli" / "target"
CLASS_PATH = f"{TARGET / 'classes'}:{TARGET / 'lib'}/*"
# A small heap and one compiler: a device is no server, and many of them run at once here.
JAVA = ["java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", CLASS_PATH, "org.fedrela.cli.MainKt"]


def words(verb: str, **options: object) -> list[str]:
    """A command: `words("once", state=folder)`."""
    return [*JAVA, verb, *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


def line(verb: str, **options: object) -> str:
    """The same as one line of a shell."""
    return shlex.join(words(verb, **options))

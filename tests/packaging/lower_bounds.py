"""The oldest packages that we say we work with: what pip installs where every lower bound is taken at its word."""

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

from packaging.version import Version

from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_OURS = re.compile(r"fedrela\[(.*)\]")
# Runs verbs one after another in one process: a line of JSON is the words, the answer is a line with status and output.
RUNNER = """\
import contextlib, io, json, sys, traceback
from fedrela import cli

for line in sys.stdin:
    sys.argv = ["fedrela", *json.loads(line)]
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        except Exception:
            traceback.print_exc()
            status = 1
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""
# The versions of packages, without what a build adds ("+cpu").
VERSIONS = """\
import json, sys
from importlib import metadata
print(json.dumps({name: metadata.version(name).split("+")[0] for name in sys.argv[1:]}))
"""
# Every verb of the named extras with all below it, by the words that call it.
LISTER = """\
import json, sys
from fedrela import cli

def leaves(words, command):
    below = getattr(command, "commands", None)
    return [leaf for name in below for leaf in leaves([*words, name], below[name])] if below else [words]

verbs = [name for name, verb in cli.VERBS.items() if verb.extra in sys.argv[1:]]
print(json.dumps([leaf for name in verbs for leaf in leaves([name], cli.load(name))]))
"""


def requirements(*extras: str) -> list[str]:
    """What the package and these extras need, each at its lower bound, the highest of several, as pip takes it."""
    named = list(PROJECT["dependencies"])
    for extra in extras:
        named += PROJECT["optional-dependencies"][extra]
    lowest: dict[str, str] = {}
    for requirement in named:
        ours = _OURS.fullmatch(requirement)
        for one in requirements(*ours[1].split(",")) if ours else [requirement.replace(">=", "==")]:
            name = one.split("==")[0]
            lowest[name] = max(one, lowest.get(name, one), key=_bound)
    return sorted(lowest.values())


def _bound(requirement: str) -> Version:
    return Version(requirement.split(";", maxsplit=1)[0].split("==")[1])


def install(folder: Path, *extras: str, built: str = "") -> Path:
    """The python of a new environment with nothing but these, from wheels alone: no device has a compiler.

    `built` is a package that comes as source alone.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-compile"]
    pip += ["--only-binary", ":all:", *(["--no-binary", built] if built else [])]
    done = subprocess.run([*pip, *requirements(*extras)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return python


def installed(python: Path, *extras: str) -> list[str]:
    """The `requirements` of these extras as they are where that python is: with the versions that are there."""
    lowest = requirements(*extras)
    names = [re.split(r"[=\[;]", requirement)[0] for requirement in lowest]
    command = [str(python), "-c", VERSIONS, *names]
    versions = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return [
        requirement if Version(versions[name]) == _bound(requirement) else f"{requirement} is {versions[name]}"
        for name, requirement in zip(names, lowest, strict=True)
    ]


def environment(folder: Path) -> dict[str, str]:
    """For processes of such a python: this checkout's code, and a folder for what they keep."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FEDRELA", "PYTEST", "COV_"))}
    places = {"PYTHONPATH": str(ROOT), "FEDRELA_DEVICE_STATE": str(folder / "state"), "XDG_CONFIG_HOME": str(folder)}
    return clean | places | {"FEDRELA_DATA": str(folder / "data"), "OMP_NUM_THREADS": "1"}


def verbs(python: Path, folder: Path, *extras: str) -> list[list[str]]:
    """Every verb of these extras, by its words."""
    command = [str(python), "-c", LISTER, *extras]
    done = subprocess.run(command, env=environment(folder), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    leaves: list[list[str]] = json.loads(done.stdout)
    return leaves


class Verbs:
    """A process of such a python that runs verbs, and what it has run."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.run_already: list[list[str]] = []
        self._process = subprocess.Popen(
            [str(python), "-c", RUNNER],
            env=environment(folder),
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words: object) -> str:
        """The output of one that succeeds."""
        assert self._process.stdin
        assert self._process.stdout
        spoken = list(map(str, words))
        self.run_already.append(spoken)
        print(json.dumps(spoken), file=self._process.stdin, flush=True)
        status, out, err = json.loads(self._process.stdout.readline())
        assert status == 0, (spoken, out, err)
        return str(out)

    def json(self, *words: object) -> Any:
        """The same as JSON."""
        return json.loads(self(*words, "--json"))

    def have_run(self, words: list[str]) -> bool:
        """Whether this verb was run."""
        return any(spoken[: len(words)] == words and "--help" not in spoken for spoken in self.run_already)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=PATIENCE_SECONDS)

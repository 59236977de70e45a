"""Every verb where only one extra is installed: it works, or one line says what is missing and how to have it.

The other extras' packages are taken away from a process that imports none yet; each verb runs in a fork of it.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedrela import cli
from fedrela.core.environment import extras
from fedrela.core.errors import MissingDependency

ROOT = Path(__file__).parents[1]
# One line for each verb, and for sub-verbs that need other things: none gets further than what it names.
LINES = (
    "export nowhere:build --input uint8:1x8x8 --classes 3 --out none/bundle",
    "verify none",
    "inspect none",
    "audit none",
    "audit none --model nowhere:build",
    "seal none",
    "serve",
    "publish none none.toml --admin-key key",
    "task list --admin-key key --url http://127.0.0.1:9",
    "task download t-1 none.safetensors --admin-key key --url http://127.0.0.1:9",
    "token create --qr --admin-key key --url http://127.0.0.1:9",
    "coordinator new-epoch",
    "key rotate",
    "device enroll http://127.0.0.1:9/join#token.00112233445566778899aabbccddeeff --state none/device",
    "device check --data none --state none/device",
    "device run --data none --state none/device",
    "device status --state none/device",
    "device show-upload --state none/device",
    "device forget --yes --state none/device",
    "device list --admin-key key --url http://127.0.0.1:9",
    "device install-service --data none --state none/device",
    "emulate ci --quiet --out none/run",
    "emulate ci --quiet --in-process --out none/run",
    "emulate ci --quiet --engine ray --out none/run",
    "evaluate t-1 --data none --admin-key key --url http://127.0.0.1:9",
    "study longtail --list",
    "study longtail --report-only --out none/results.jsonl",
    "report none",
    "doctor --state none/device",
)
PROBE = """\
import os, sys
from importlib import metadata

allowed, everything, lines = set(sys.argv[1].split()), sys.argv[2].split(), sys.argv[3].splitlines()


def closure(names):
    seen, pending = set(), list(names)
    while pending:
        name = pending.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            texts = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        pending += [re.split(r"[^A-Za-z0-9._-]", text)[0] for text in texts if "extra ==" not in text]
    return seen


import re
from fedrela.core.environment import extras

present = closure([*allowed, "cryptography", "numpy", "safetensors", "typer"])
modules = {module for extra in everything for name, module in extras.requirements(extra).items()
           if name.replace("_", "-") not in present}


class Away:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Away())
from fedrela import cli

for number, line in enumerate(lines):
    child = os.fork()
    if not child:
        out = os.open(f"{number}.log", os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.argv = ["fedrela", *line.split()]
        try:
            cli.main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            import traceback

            traceback.print_exc()
            status = 99
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    _, status = os.waitpid(child, 0)
    with open(f"{number}.status", "w") as file:
        file.write(str(os.waitstatus_to_exitcode(status)))
"""


@pytest.mark.parametrize(
    "installed", ["", *(pytest.param(extra, marks=pytest.mark.deep) for extra in ("edge", "coordinator", "emulator"))]
)
def test_every_verb_says_in_one_line_what_it_lacks(installed: str, tmp_path: Path) -> None:
    every = [*extras.USUAL, *extras.STORES]
    allowed = " ".join(extras.requirements(installed)) if installed else ""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROBE, allowed, " ".join(every), "\n".join(LINES)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for number, line in enumerate(LINES):
        said, status = (tmp_path / f"{number}.log").read_text(), (tmp_path / f"{number}.status").read_text()
        assert "Traceback" not in said, f"{line}: {said}"
        assert status in ("0", "1", "2"), f"{line}: {status} {said}"
        named = re.findall(r"pip install 'fedrela\[([a-z0-9,]+)\]'", said)
        if "not installed" in said:
            assert named, f"{line}: {said}"
            assert len(said.splitlines()) <= 4, f"{line}: {said}"
            lacking = {name for extra in ",".join(named).split(",") for name in extras.requirements(extra)}
            assert lacking - set(extras.requirements(installed)), f"{line}: {said}"
        if cli.VERBS[line.split()[0]].extra == installed != "emulator":
            assert not named or "doctor" in line, f"{line} needs more than its extra: {said}"


def test_whatever_brings_a_module_is_named_the_verbs_own_extra_first() -> None:
    assert extras.providing("sqlalchemy.orm", first=("emulator",)) == "coordinator"
    assert extras.providing("jinja2", first=("emulator",)) == "emulator"
    assert (extras.providing("PIL"), extras.providing("psycopg"), extras.providing("nobodys")) == (
        "edge",
        "postgresql",
        None,
    )


def test_what_is_missing_is_one_line_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    assert extras.missing("edge") == []
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert extras.missing("edge") == ["httpx"]
    with pytest.raises(MissingDependency, match=r"this needs httpx.*pip install 'fedrela\[edge\]'"):
        extras.require("edge", "this")

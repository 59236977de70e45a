"""A user's folder with traps in it, and commands that run there: each to its end, or in the background."""

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.packaging import distributions

SECONDS = 300  # a busy machine is no fault
OURS = ("conformance", "coordinator", "core", "edge", "emulator", "export", "study")
# Libraries, and parts of the standard library that are loaded by and by.
OTHERS = ("dataclasses", "httpx", "json", "multiprocessing", "numpy", "pickle", "re", "socket", "typer", "typing")
TRAP = "import pathlib\npathlib.Path({proof!r}).touch()\nraise SystemExit('the caller\\'s {name} was imported')\n"


def set_traps(folder: Path, names: tuple[str, ...]) -> None:
    (folder / "sprung").mkdir(exist_ok=True)
    for name in names:
        (folder / name).mkdir()
        trap = TRAP.format(proof=str(folder / "sprung" / name), name=name)
        (folder / name / "__init__.py").write_text(trap)


def sprung(folder: Path) -> list[str]:
    return [path.name for path in (folder / "sprung").iterdir()]


def run(folder: Path, *command: object, **variables: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=environment(folder) | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nsprung: {sprung(folder)}"
    return done.stdout


def environment(folder: Path) -> dict[str, str]:
    return distributions.environment(FEDRELA_DEVICE_STATE=str(folder / "state"), OMP_NUM_THREADS="1")


@contextmanager
def running(folder: Path, *command: object, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A command in the background, ended with all that it started when the context is left."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            env=environment(folder) | variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_until(condition: Callable[[], bool], folder: Path, *processes: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        log = (folder / "log").read_text(errors="replace")
        assert all(process.poll() is None for process in processes), log
        assert time.monotonic() < deadline, log
        time.sleep(0.2)


def is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False

"""A coordinator for the length of one emulation: a process of its own on loopback, or an application in this process.

with process(folder) as (url, admin_key, process_id):
    ...
"""

import logging
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from fedrela.core import interpreter
from fedrela.core.errors import MissingDependency, Unavailable
from fedrela.emulator.connections.asgi import AsgiTransport

_START_SECONDS = 180.0  # a loaded machine is no fault; a coordinator that has ended is noticed at once
_STOP_SECONDS = 20.0
_ROOMY_BYTES = 2_000_000_000
FOLDER_PREFIX = "fedrela-emulation-"
MEMORY = Path("/dev/shm")  # Linux's file system in memory


@contextmanager
def throwaway_folder() -> Iterator[Path]:
    """A folder for a coordinator that is thrown away after the run: in memory where there is room.

    A coordinator flushes everything to its disk before it answers; on a disk that is most of an emulation's time, and
    nothing of it outlives the run.
    """
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= _ROOMY_BYTES
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, dir=MEMORY if roomy else None) as folder:
        yield Path(folder)


@contextmanager
def process(folder: Path, *, virtual_clock: bool = True) -> Iterator[tuple[str, str, int]]:
    """(url, admin key, process id) of a new coordinator with its data in `folder`; ended when the context is left."""
    environment, admin_key = _environment(folder, virtual_clock)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # uvicorn puts one folder in front of every other one: the caller's, unless it is told which.
    where = ("--port", str(port), "--app-dir", str(folder))
    command = interpreter.command("uvicorn", "fedrela.coordinator.app:app", *where)
    with (folder / "coordinator.log").open("wb") as log:
        child = subprocess.Popen(
            [*command, "--no-access-log", "--log-level", "warning"],
            env={**interpreter.environment(), **environment},
            stdout=log,
            stderr=log,
        )
        try:
            _wait_until_ready(url, child, folder / "coordinator.log")
            yield url, admin_key, child.pid
        finally:
            child.terminate()
            try:
                child.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@contextmanager
def in_process(folder: Path) -> Iterator[tuple[str, str, AsgiTransport]]:
    """(url, admin key, transport) of a coordinator that lives in this process and is spoken to without a network."""
    environment, admin_key = _environment(folder, virtual_clock=True, threads="0")
    try:  # FastAPI and SQLAlchemy may be missing: a fleet with a coordinator elsewhere doesn't need them
        from fedrela.coordinator.app import create_app
        from fedrela.coordinator.settings import Settings
    except ModuleNotFoundError as error:
        raise MissingDependency(
            f"a coordinator in this process needs {error.name}", remedy="run: pip install 'fedrela[coordinator]'"
        ) from error
    settings = Settings.from_environment(environment)
    application = AsgiTransport(create_app(lambda: settings))
    application.start()
    logger = logging.getLogger("fedrela")
    level = logger.level
    logger.setLevel(logging.WARNING)  # meanwhile this process's terminal belongs to the emulation
    try:
        yield "http://coordinator.invalid", admin_key, application
    finally:
        logger.setLevel(level)
        application.stop()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environment(folder: Path, virtual_clock: bool, threads: str = "") -> tuple[Mapping[str, str], str]:
    folder.mkdir(parents=True, exist_ok=True)
    admin_key = secrets.token_hex(32)
    return {
        "FEDRELA_DEV": "1",
        "FEDRELA_DATA": str(folder),
        "FEDRELA_ADMIN_KEY": admin_key,
        "FEDRELA_VIRTUAL_CLOCK": "1" if virtual_clock else "0",
        "FEDRELA_DATABASE_URL": "",
        "FEDRELA_BLOBS_URL": "",
        "FEDRELA_THREADS": threads,
        "FEDRELA_SIGNING_KEY": "",
    }, admin_key


def _wait_until_ready(url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(trust_env=False, verify=False) as http:  # plain HTTP on loopback
        while time.monotonic() < deadline and child.poll() is None:
            with suppress(httpx.TransportError):
                if http.get(url + "/readyz").status_code == 200:
                    return
            time.sleep(0.05)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise Unavailable(
        f"the coordinator did not start ({lines[-1] if lines else 'it said nothing'})",
        remedy=f"see {log}; `pip install 'fedrela[coordinator]'` brings what it needs",
    )

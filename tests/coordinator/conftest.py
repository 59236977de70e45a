"""A coordinator for a test: in process with a virtual clock, or real processes on a free port; both databases."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from benchmarks.serving import s3
from fedrela.coordinator.app import create_app
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.settings import Settings
from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.live_server import KEY, SIGNING_KEY, Server, free_port, wait_for

__all__ = ["KEY", "SIGNING_KEY", "Server", "free_port", "wait_for"]  # tests find them here too

PLAIN = Relabel(enabled=False)


def settings_for(folder: Path, **changes: Any) -> Settings:
    """Settings of a coordinator whose data are in `folder`."""
    base = Settings(
        data_folder=folder,
        database_url=f"sqlite:///{folder / 'coordinator.sqlite'}",
        blobs_url=(folder / "blobs").as_uri(),
        admin_key=KEY,
        signing_key=SIGNING_KEY,
        virtual_clock=True,
        dev=True,
        requests_per_device_per_second=0,
        requests_per_address_per_second=0,
    )
    return replace(base, **changes)


@dataclass
class House:
    """One coordinator in this process, its operator, and a bundle to publish."""

    http: TestClient
    operator: fleet.Operator
    bundle: Path
    settings: Settings

    @property
    def coordinator(self) -> Coordinator:
        """The open store behind it."""
        coordinator: Coordinator = self.http.app.state.coordinator  # type: ignore[attr-defined]
        return coordinator

    def publish(self, rounds: int = 3, *, name: str = "tiny", **round_settings: Any) -> str:
        """A task without re-labeling, for devices of the test's own."""
        task = Task(name, rounds, round=Rounds(**{"smallest_cohort": 1} | round_settings), relabel=PLAIN)
        return self.operator.publish(self.bundle, task)

    def devices(self, count: int, population: str = "default") -> list[fleet.Device]:
        """Newly enrolled devices."""
        token = self.operator.link(count, population)
        return [fleet.enroll(self.http, token, population) for _ in range(count)]

    def clock(self, now_seconds: float) -> None:
        """Move the virtual clock."""
        self.operator.call("POST", "/clock", json={"now_seconds": now_seconds})


@contextmanager
def house_with(settings: Settings, bundle: Path) -> Iterator[House]:
    """Run a coordinator in this process."""
    with TestClient(create_app(lambda: settings), raise_server_exceptions=False) as http:
        yield House(http, fleet.Operator(http, KEY), bundle, settings)


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a model with eight parameters."""
    folder = tmp_path_factory.mktemp("bundle")
    fleet.make_bundle(folder)
    return folder


@pytest.fixture
def house(tmp_path: Path, bundle_folder: Path) -> Iterator[House]:
    """A coordinator on SQLite and a folder of blobs, with a virtual clock."""
    with house_with(settings_for(tmp_path / "data"), bundle_folder) as house:
        yield house


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of this session's own on a Unix socket and a free port; its URL without a database."""
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed; to run these tests: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="fedrela-postgres-"))
    owner = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if owner:
        shutil.chown(folder, owner)

    def run(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        done = subprocess.run(command, user=owner, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    port = free_port()
    data = str(folder / "data")
    run("initdb", "-D", data, "-U", "fedrela", "--auth=trust", "--no-sync", "-E", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c max_connections=200"
    run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql://fedrela@127.0.0.1:{port}"
    finally:
        run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def new_database(postgres: str) -> Callable[[], str]:
    """Makes an empty PostgreSQL database and returns its URL."""
    import psycopg

    def make() -> str:
        name = f"test_{time.time_ns()}"
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"{postgres}/{name}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def any_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL of an empty database of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("new_database")())
    return f"sqlite:///{tmp_path / 'any.sqlite'}"


@pytest.fixture
def any_house(any_database: str, tmp_path: Path, bundle_folder: Path) -> Iterator[House]:
    """The same coordinator on each database."""
    with house_with(settings_for(tmp_path / "data", database_url=any_database), bundle_folder) as house:
        yield house


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A bucket in an S3-compatible server of this session's own."""
    with s3.server() as url:
        yield url


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Not started yet; killed at the end."""
    server = Server(tmp_path / "server", free_port())
    yield server
    server.kill()

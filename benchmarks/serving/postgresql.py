"""A PostgreSQL server of a benchmark's own, as Debian's package installs it, on 127.0.0.1 and a free port."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from benchmarks.serving.fixture import free_port


@contextmanager
def server() -> Iterator[Callable[[], str]]:
    """Start it with its default settings; gives a function that makes an empty database and returns its URL."""
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
    if programs is None:
        raise SystemExit("PostgreSQL is not installed; run: apt-get install postgresql, or pass --database sqlite")
    folder = Path(tempfile.mkdtemp(prefix="benchmark-postgresql-"))
    owner = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if owner:
        shutil.chown(folder, owner)
    port, data = free_port(), str(folder / "data")

    def control(program: str, *arguments: str) -> None:
        command = [str(programs / program), *arguments]
        subprocess.run(command, user=owner, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    def new_database() -> str:
        name = f"load_{time.time_ns()}"
        with psycopg.connect(f"postgresql://fedrela@127.0.0.1:{port}/postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql://fedrela@127.0.0.1:{port}/{name}"

    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control("initdb", "-D", data, "-U", "fedrela", "--auth=trust", "--no-sync", "-E", "UTF8")
    try:
        control("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield new_database
        finally:
            control("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)

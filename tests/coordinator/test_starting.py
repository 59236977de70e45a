"""A coordinator that can't start says why in a line or two, and ends with all its workers, however it is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coordinator.live_server import free_port
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("workers", [1, 2])
def test_uvicorn_without_secrets_says_which_and_ends(tmp_path: Path, workers: int) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FEDRELA_")}
    command = [sys.executable, "-m", "uvicorn", "fedrela.coordinator.app:app", "--port", str(free_port())]
    ended = subprocess.run(
        [*command, "--workers", str(workers)],
        env=clean | {"FEDRELA_DATA": str(tmp_path)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("FEDRELA_ADMIN_KEY has 0 characters") == 1
    assert "openssl rand -hex 32" in ended.stderr
    assert len(ended.stderr.splitlines()) < 20
    assert ended.returncode != 0 or workers > 1


def test_a_database_of_a_newer_program_is_refused_in_the_same_way(tmp_path: Path) -> None:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(tmp_path / "coordinator.sqlite")) as database, database:
        database.execute("CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, applied_at DOUBLE)")
        database.execute("INSERT INTO schema_migrations VALUES (999, 0)")
    ended = subprocess.run(
        [sys.executable, "-m", "uvicorn", "fedrela.coordinator.app:app", "--port", str(free_port())],
        env=os.environ | {"FEDRELA_DATA": str(tmp_path), "FEDRELA_DEV": "1"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode != 0
    assert "the database has schema version 999" in ended.stderr
    assert "Traceback" not in ended.stderr

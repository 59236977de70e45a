"""Connections to a database: a new file's mode is set although others are at it."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from fedrela.coordinator.storage import engines


def test_a_file_that_somebody_reads_is_in_wal_mode_once_he_has_read(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.sqlite"
    reader = sqlite3.connect(file, check_same_thread=False)
    with reader:
        reader.execute("CREATE TABLE some (thing INTEGER)")
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM some").fetchall()
    with closing(sqlite3.connect(file, timeout=0)) as writer:
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("PRAGMA journal_mode=WAL")
        ends = threading.Timer(0.2, reader.close)
        ends.start()
        engines.write_ahead(writer)
        ends.join()
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_who_never_ends_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.1)
    file = tmp_path / "coordinator.sqlite"
    with closing(sqlite3.connect(file)) as other, closing(sqlite3.connect(file, timeout=0)) as writer:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            engines.write_ahead(writer)


def test_what_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "coordinator.sqlite"
    file.write_bytes(b"something else " * 100)
    with closing(sqlite3.connect(file)) as connection, pytest.raises(sqlite3.DatabaseError, match="not a database"):
        engines.write_ahead(connection)

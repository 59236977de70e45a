"""Connections to the two kinds of database: what each of them is told, and how long it is waited for.

>>> connect("sqlite:///:memory:")
Traceback (most recent call last):
...
fedrela.core.errors.InvalidInput: the database URL names no file; use sqlite:////absolute/path or postgresql://...
"""

import math
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa

from fedrela.coordinator.storage import private
from fedrela.core.errors import InvalidInput, MissingDependency

BUSY_SECONDS = 10
RESTED_SECONDS = 1.0  # a pooled connection that was in use more recently is taken to be alive
APPLICATION = "fedrela"  # PostgreSQL's name for our connections
_PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "cache_size=-16000", "secure_delete=ON")


def connect(url: str) -> sa.Engine:
    """A pool of connections to what a URL names. Raises InvalidInput where it names neither kind of database."""
    if url.startswith(("postgresql://", "postgres://")):
        return _postgresql(url)
    if url.startswith("sqlite:///") and ":memory:" not in url and len(url) > len("sqlite:///"):
        return _sqlite(url)
    raise InvalidInput(
        "the database URL names no file" if url.startswith("sqlite") else "the database URL is of an unknown kind",
        remedy="use sqlite:////absolute/path or postgresql://...",
    )


def _postgresql(url: str) -> sa.Engine:
    try:
        import psycopg
        from psycopg import conninfo
    except ImportError as error:
        raise MissingDependency(
            "PostgreSQL needs the package psycopg", remedy="run: pip install 'fedrela[postgresql]'"
        ) from error
    dialect_url = "postgresql+psycopg://" + url.split("://", 1)[1]
    named = {"application_name": APPLICATION}
    try:
        engine = sa.create_engine(
            dialect_url, pool_size=8, max_overflow=24, pool_timeout=BUSY_SECONDS, connect_args=named
        )
        asked = dict(engine.dialect.create_connect_args(engine.url)[1])
        asked.pop("context", None)  # SQLAlchemy's own
        conninfo.make_conninfo(**asked)  # which knows the options
    except (ValueError, sa.exc.ArgumentError, psycopg.Error):
        raise InvalidInput(
            "the database URL has a host, a port or an option that can't be read",  # not repeated: it has the password
            remedy="write it like postgresql://user:password@host:5432/name, special characters of the password as %XX",
        ) from None

    @sa.event.listens_for(engine, "checkin")
    def note(connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @sa.event.listens_for(engine, "checkout")
    def probe(connection: Any, record: Any, proxy: Any) -> None:
        """A connection that rested may be dead; asking before every use would cost a round trip each time."""
        if time.monotonic() - record.info.get("used_at", math.inf) > RESTED_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except psycopg.Error as error:
                raise sa.exc.DisconnectionError from error  # SQLAlchemy opens another one

    return engine


def _make_private(file: Path) -> None:
    """The database's file, readable by its owner alone; SQLite gives the files beside it the same mode."""
    private.make_folder(file.parent)
    with suppress(FileExistsError):
        private.create(file).close()
        return
    private.tighten(file, *(file.with_name(file.name + suffix) for suffix in ("-wal", "-shm")))


def database_file(url: str) -> Path:
    """The file that a URL names. Raises InvalidInput where a part of its name may be meant as something else."""
    path = url.removeprefix("sqlite:///")
    if "?" in path:
        raise InvalidInput(
            "the database URL has options, and SQLite takes none here",
            remedy="leave them out; if they belong to the file's name, write ? as %3F and % as %25",
        )
    return Path(os.fsdecode(unquote_to_bytes(path)))


def existing_file(url: str) -> Path:
    """The file that a URL names, which is there. Raises InvalidInput."""
    file = database_file(url)
    if not file.is_file():
        raise InvalidInput(f"there is no database {file}", remedy="name the coordinator's data folder with --data")
    return file


def write_ahead(connection: sqlite3.Connection) -> None:
    """Set WAL mode, waiting for those who read or set it too. Raises sqlite3.OperationalError where they don't end.

    SQLite itself waits for no lock when it changes a new file's mode: of workers that start together, one was refused.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


def _sqlite(url: str) -> sa.Engine:
    file = database_file(url)
    _make_private(file)
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(file)),  # by its name, so that no ? or % in it means anything
        pool_size=16,
        max_overflow=32,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS},
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver
        write_ahead(connection)
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("writes", False):
            level = "FULL" if options["durable"] else "NORMAL"
            connection.connection.cursor().execute(f"PRAGMA synchronous={level}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # may fail, and then as SQLAlchemy's error
        else:
            connection.connection.cursor().execute("BEGIN")  # can't, and every check-in runs this

    return engine

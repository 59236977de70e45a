"""The database: SQLite in WAL mode by default, PostgreSQL by URL; one way to read and one way to write.

A write transaction holds SQLite's write lock from its first statement (BEGIN IMMEDIATE), so what it reads is what it
changes; on PostgreSQL the rows that decide are locked by `for_update`. Commits are synced to disk before they return.

    >>> store = Database("sqlite:///:memory:")
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidInput: the database URL names no file; use sqlite:////absolute/path or postgresql://...
"""

import math
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import sqlalchemy as sa
from sqlalchemy.exc import DataError, DBAPIError, OperationalError, SQLAlchemyError

from fedrela.coordinator.storage import migrations, private, schema
from fedrela.coordinator.storage.clock import RealClock
from fedrela.core.errors import FedRelaError, InvalidInput, InvalidMessage, MissingDependency, Unavailable

BUSY_SECONDS = 10
RESTED_SECONDS = 1.0  # a pooled connection that was in use more recently is taken to be alive
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000", "secure_delete=ON")
_VIRTUAL_NOW = sa.select(schema.clock.c.now_seconds)
APPLICATION = "fedrela"  # PostgreSQL's name for our connections
MIGRATION_LOCK = 0x66656472  # PostgreSQL advisory lock: workers that start together migrate one after the other


class Database:
    """Owns the connection pool. `virtual`: the clock is a number in the database instead of the machine's time."""

    def __init__(self, url: str, *, virtual_clock: bool = False) -> None:
        self.virtual_clock = virtual_clock
        self.scrub_is_due = threading.Event()  # something was deleted that shall be in no file any more
        self._writer = threading.Lock()  # SQLite has one writer: waiting here is fairer than polling its file lock
        self._engine = _engine(url)
        self.sqlite = self._engine.dialect.name == "sqlite"
        self.clock = RealClock(sqlite=self.sqlite)
        # On PostgreSQL each statement of a read sees a view of its own anyway, so two round trips are saved.
        self._reading = self._engine if self.sqlite else self._engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            with self.write() as tx:
                if not self.sqlite:
                    tx.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                migrations.migrate(tx, time.time())
                if not virtual_clock:
                    self.clock.start(tx)
        except FedRelaError:
            self.close()
            raise

    def close(self) -> None:
        """Give every connection back."""
        self._engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """What is committed; nothing is written. On SQLite all statements see one state of the database."""
        with _translated(), self._reading.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[sa.Connection]:
        """All or nothing. Raises Unavailable where the database is locked, full or gone; then nothing was changed.

        durable: synced to disk on return; without it a power cut may undo it, and a killed process does not.
        """
        with _translated(), self._exclusively(), self._engine.connect() as connection:
            connection = connection.execution_options(writes=True, durable=durable)
            with connection.begin():
                if not durable and not self.sqlite:
                    connection.execute(sa.text("SET LOCAL synchronous_commit TO off"))
                yield connection

    @contextmanager
    def savepoint(self, connection: sa.Connection) -> Iterator[None]:
        """A part of a write transaction that can fail alone: an error inside undoes the part and nothing else."""
        with _translated(), connection.begin_nested():
            yield

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        if not self.sqlite:
            yield
            return
        if not self._writer.acquire(timeout=BUSY_SECONDS):
            raise Unavailable("the database is busy", remedy="try again in a few seconds")
        try:
            yield
        finally:
            self._writer.release()

    def now(self, connection: sa.Connection | None = None) -> float:
        """Seconds of the coordinator's clock."""
        if not self.virtual_clock:
            return self.clock.now()
        if connection is not None:
            return float(connection.scalar(_VIRTUAL_NOW) or 0.0)
        with self.read() as view:
            return float(view.scalar(_VIRTUAL_NOW) or 0.0)

    def scrub(self) -> None:
        """Where something was deleted: on SQLite, empty the log that still holds the pages of before.

        The database's own pages are overwritten as rows go (`secure_delete`). PostgreSQL keeps dead rows until its
        autovacuum has passed.
        """
        if not self.scrub_is_due.is_set():
            return
        self.scrub_is_due.clear()
        if self.sqlite:
            with _translated(), self._exclusively(), self._engine.connect() as connection:
                pooled = connection.connection.driver_connection
                assert pooled is not None
                busy = pooled.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if busy:  # somebody reads
                self.scrub_is_due.set()

    def advance_clock(self, now_seconds: float) -> float:
        """Move the virtual clock forward; it never goes back. Returns the new time."""
        with self.write() as tx:
            tx.execute(
                sa.update(schema.clock).where(schema.clock.c.now_seconds < now_seconds).values(now_seconds=now_seconds)
            )
            return self.now(tx)


@contextmanager
def _translated() -> Iterator[None]:
    """Database failures become Unavailable: the caller may try again, nothing is half done."""
    try:
        yield
    except OperationalError as error:
        raise Unavailable(
            f"the database can't do this now ({_reason(error)})",
            remedy="see that it runs, is not locked by another program and has disk space, then try again",
        ) from error
    except sa.exc.TimeoutError as error:
        raise Unavailable("every database connection is in use", remedy="try again in a few seconds") from error
    except DataError as error:
        raise InvalidMessage("a value can't be looked up", remedy="send printable text and ordinary numbers") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Unavailable("the database closed the connection", remedy="try again in a few seconds") from error
        raise


def _reason(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", error)).strip().splitlines()[0][:200]


def _engine(url: str) -> sa.Engine:
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
    except ImportError as error:
        raise MissingDependency(
            "PostgreSQL needs the package psycopg", remedy="run: pip install 'fedrela[postgresql]'"
        ) from error
    dialect_url = "postgresql+psycopg://" + url.split("://", 1)[1]
    named = {"application_name": APPLICATION}
    engine = sa.create_engine(dialect_url, pool_size=8, max_overflow=24, pool_timeout=BUSY_SECONDS, connect_args=named)

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

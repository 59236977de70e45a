"""The database: SQLite in WAL mode by default, PostgreSQL by URL; one way to read and one way to write.

A write transaction holds SQLite's write lock from its first statement (BEGIN IMMEDIATE), so what it reads is what it
changes; on PostgreSQL the rows that decide are locked by `for_update`. Commits are synced to disk before they return.

    database = Database("sqlite:////srv/fedrela/coordinator.sqlite")
    with database.read() as view:
        view.scalar(sa.select(schema.epoch.c.number))
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DataError, DBAPIError, OperationalError, SQLAlchemyError

from fedrela.coordinator.storage import engines, migrations, schema
from fedrela.coordinator.storage.clock import RealClock
from fedrela.core.errors import FedRelaError, InvalidInput, InvalidMessage, Unavailable

_VIRTUAL_NOW = sa.select(schema.clock.c.now_seconds)
MIGRATION_LOCK = 0x66656472  # PostgreSQL advisory lock: workers that start together migrate one after the other


class Database:
    """Owns the connection pool. `virtual_clock`: it is a number in the database instead of the machine's time.

    `existing`: nothing is made. Raises InvalidInput for a URL that names no database, and with `existing` for one that
    isn't a coordinator's yet; Unavailable where it can't be reached.
    """

    def __init__(self, url: str, *, virtual_clock: bool = False, existing: bool = False) -> None:
        if existing and url.startswith("sqlite:///") and not engines.existing_file(url).stat().st_size:
            raise _no_coordinator_s()
        self.virtual_clock = virtual_clock
        self.scrub_is_due = threading.Event()  # something was deleted that shall be in no file any more
        self._writer = threading.Lock()  # SQLite has one writer: waiting here is fairer than polling its file lock
        self._engine = engines.connect(url)
        self.sqlite = self._engine.dialect.name == "sqlite"
        self.clock = RealClock(sqlite=self.sqlite)
        # On PostgreSQL each statement of a read sees a view of its own anyway, so two round trips are saved.
        self._reading = self._engine if self.sqlite else self._engine.execution_options(isolation_level="AUTOCOMMIT")
        try:
            with self.write() as tx:
                if not self.sqlite:
                    tx.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                if existing and not migrations.is_there(tx):
                    raise _no_coordinator_s()
                migrations.migrate(tx, time.time())
                if not virtual_clock:
                    self.clock.start(tx)
        except DatabaseError as error:
            self.close()
            if not self.sqlite:
                raise
            raise InvalidInput(
                f"{engines.database_file(url)} is no database that SQLite reads ({_reason(error)})",
                remedy="name the coordinator's data folder with FEDRELA_DATA or --data, or restore a backup",
            ) from error
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
        if not self._writer.acquire(timeout=engines.BUSY_SECONDS):
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


def _no_coordinator_s() -> InvalidInput:
    return InvalidInput(
        "the database is no coordinator's", remedy="name its data folder with --data, or FEDRELA_DATABASE_URL"
    )


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

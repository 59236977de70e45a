"""Whether a coordinator is at work on a database: what changes its standing needs one that is stopped.

A process reads the epoch and the keys once, when it starts; one that ran on would go on saying what was before.

    >>> # with presence.stopped(settings.database_url, store), store.write() as tx: standing.begin_epoch(tx)
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from fedrela.coordinator.storage.engines import APPLICATION, database_file
from fedrela.coordinator.storage.store import Database
from fedrela.core.errors import InvalidInput

_OTHERS = sa.text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name = :name AND pid <> pg_backend_pid()"
)


@contextmanager
def at_work(url: str, store: Database) -> Iterator[None]:
    """A coordinator works on the database of this block. On PostgreSQL its connections say so by their name."""
    if not store.sqlite:
        yield
        return
    descriptor = _open(url)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def stopped(url: str, store: Database) -> Iterator[None]:
    """Nobody else works on the database of this block. Raises InvalidInput where a coordinator does."""
    if not store.sqlite:
        with store.read() as view:
            if view.scalar(_OTHERS, {"name": APPLICATION}):
                raise _running()
        yield
        return
    descriptor = _open(url)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _running() from error
        yield
    finally:
        os.close(descriptor)


def _open(url: str) -> int:
    """A file beside the database: SQLite loses its own locks where the database's is opened once more and closed."""
    file = database_file(url)
    return os.open(file.with_name(f"running.{file.name}"), os.O_RDWR | os.O_CREAT, 0o600)


def _running() -> InvalidInput:
    return InvalidInput(
        "a coordinator is running on this database, and would go on as before",
        remedy="stop it (all of its processes, on every machine), run this, and start it again",
    )

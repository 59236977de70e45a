"""The schema's history: an ordered list of steps, each applied once, in a transaction with its own record.

A released step is never edited; a change of `storage/schema.py` is a new step at the end of `STEPS`. One set serves
SQLite and PostgreSQL.

    >>> [version for version, _ in enumerate(STEPS, start=1)][0]
    1
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.storage import schema, secure_schema
from fedrela.coordinator.storage.schema import FORGOTTEN
from fedrela.core.errors import Unavailable


def create_tables(connection: sa.Connection) -> None:
    """Version 1: every table."""
    schema.metadata.create_all(connection)
    connection.execute(sa.insert(schema.clock).values(id=1, now_seconds=0.0))


def add_accuracies(connection: sa.Connection) -> None:
    """Version 2: what the operator's test set says of a round. A database of this release has the table already."""
    schema.accuracies.create(connection, checkfirst=True)


def rename_columns(connection: sa.Connection) -> None:
    """Version 3: today's names. A database of this release has them already."""
    for table, former, name in (
        ("devices", "last_turn_at", "last_assignment_at"),
        ("accuracies", "judged_at", "evaluated_at"),
    ):
        if former in {column["name"] for column in sa.inspect(connection).get_columns(table)}:
            connection.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN {former} TO {name}"))


def add_publishers(connection: sa.Connection) -> None:
    """Whose programs a link's devices run. A database of this release has the column already."""
    _add_column(connection, schema.tokens.c.publishers)


def add_seals(connection: sa.Connection) -> None:
    """Who vouches for a task's programs: see `stored_tasks.seal`. A database of this release has the column already."""
    _add_column(connection, schema.tasks.c.seal_json)


def add_norms_and_uploads(connection: sa.Connection) -> None:
    """The norms of a task's newest updates, and who receives an update. A database of this release has them already."""
    for column in (schema.tasks.c.update_norms, *schema.assignments.c["upload_worker", "upload_until"]):
        _add_column(connection, column)


def add_probes_and_sessions(connection: sa.Connection) -> None:
    """What `/readyz` writes, and the sessions that operators have ended."""
    schema.probes.create(connection, checkfirst=True)
    schema.ended_sessions.create(connection, checkfirst=True)


def add_clock(connection: sa.Connection) -> None:
    """The time that all processes of a coordinator go by."""
    for column in ("newest_at", "boot", "beat_at", "offset_seconds", "jumped_seconds"):
        _add_column(connection, schema.clock.c[column])


def add_retention(connection: sa.Connection) -> None:
    """What it takes to forget a device and to fold its assignments."""
    schema.folded_assignments.create(connection, checkfirst=True)
    _add_column(connection, schema.devices.c.seen_at)
    nobody = {"public_key": "", "population": "", "token_id": "", "enrolled_at": 0.0, "revoked_at": 0.0}
    connection.execute(sa.insert(schema.devices).values(id=FORGOTTEN, token_hash=FORGOTTEN, **nobody))


def add_standing(connection: sa.Connection) -> None:
    """The epoch, and the keys that were followed by others."""
    schema.key_rotations.create(connection, checkfirst=True)
    schema.epoch.create(connection, checkfirst=True)
    if connection.scalar(sa.select(schema.epoch.c.number)) is None:
        connection.execute(sa.insert(schema.epoch).values(id=1, number=1))


def prove_keys(connection: sa.Connection) -> None:
    """Devices sign their enrollment; those of before, which may be there twice, stay as they are."""
    _add_column(connection, schema.devices.c.proved_key)
    one_device = next(index for index in schema.devices.indexes if index.name == "one_device_per_link_and_key")
    one_device.create(connection, checkfirst=True)


def add_secure_rounds(connection: sa.Connection) -> None:
    """Groups whose sums are read and nothing else of their members, and devices that a fleet's key vouches for."""
    for table in (secure_schema.groups, secure_schema.members):
        table.create(connection, checkfirst=True)
    _add_column(connection, schema.devices.c.certificate)


def add_outcomes(connection: sa.Connection) -> None:
    """What became of the sums that a device was in, where some were left out."""
    secure_schema.outcomes.create(connection, checkfirst=True)


def add_clipping(connection: sa.Connection) -> None:
    """To which norm the updates of a secure round are clipped, and how many of a group's were."""
    for column in (schema.rounds.c.clip_millionths, secure_schema.groups.c.clipped):
        _add_column(connection, column)


def _add_column(connection: sa.Connection, column: "sa.Column[Any]") -> None:
    """A column that `storage/schema.py` has, unless the table has it too."""
    if column.name not in {there["name"] for there in sa.inspect(connection).get_columns(column.table.name)}:
        written = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
        connection.execute(sa.text(f"ALTER TABLE {column.table.name} ADD COLUMN {written}"))


STEPS: tuple[Callable[[sa.Connection], None], ...] = (
    create_tables,
    add_accuracies,
    rename_columns,
    add_publishers,
    add_seals,
    add_norms_and_uploads,
    add_probes_and_sessions,
    add_clock,
    add_retention,
    add_standing,
    prove_keys,
    add_secure_rounds,
    add_outcomes,
    add_clipping,
)


def is_there(connection: sa.Connection) -> bool:
    """Whether this is a coordinator's database, of whatever version."""
    return sa.inspect(connection).has_table(schema.migrations.name)


def migrate(connection: sa.Connection, now: float) -> int:
    """Bring the schema up to date within the caller's transaction; return its version.

    Raises Unavailable where the database was written by a newer program.
    """
    schema.migrations.create(connection, checkfirst=True)
    applied = connection.scalar(sa.select(sa.func.max(schema.migrations.c.version))) or 0
    if applied > len(STEPS):
        raise Unavailable(
            f"the database has schema version {applied}, this program knows {len(STEPS)}",
            remedy="run the newer program, or restore an older backup",
        )
    for version, step in enumerate(STEPS[applied:], start=applied + 1):
        step(connection)
        connection.execute(sa.insert(schema.migrations).values(version=version, applied_at=now))
    return len(STEPS)

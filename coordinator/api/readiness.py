"""Whether database and blob store can do what the next device needs: not only read, but write.

Anybody may ask, so one probe runs at a time, however many ask, and one in a second writes.

    readiness = Readiness(coordinator)
    await readiness.check()              # or raises Unavailable
"""

import asyncio
import secrets
import time
from contextlib import suppress

import sqlalchemy as sa

from fedrela.coordinator.api.threads import in_blob_thread, in_thread
from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import blobs, schema
from fedrela.core.errors import Unavailable

FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 5.0
FILLER_BYTES = 16 * 1024  # more than a page of either database: a full one has no room for it


class Readiness:
    """The newest probe, shared by all who ask."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._probe: asyncio.Task[None] | None = None
        self._written_at = -FRESH_SECONDS

    async def check(self) -> None:
        """Raise Unavailable where a write fails, or is not done within `PATIENCE_SECONDS`."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._run(), name="readiness")
            self._probe.add_done_callback(_retrieve)
        try:
            await asyncio.wait_for(asyncio.shield(self._probe), PATIENCE_SECONDS)
        except TimeoutError as error:
            raise Unavailable(
                f"database and blob store did not answer within {PATIENCE_SECONDS:.0f} seconds",
                remedy="see that the database is not locked by another program and that the blob store answers",
            ) from error

    async def _run(self) -> None:
        if time.monotonic() - self._written_at > FRESH_SECONDS:
            await in_thread(_write, self._coordinator)
            self._written_at = time.monotonic()
        with suppress(KeyError):
            await in_blob_thread(self._coordinator.blobs.size, blobs.public("0" * 64))


def _retrieve(probe: "asyncio.Task[None]") -> None:
    """So that nobody's having waited for a failure is no error of its own."""
    if not probe.cancelled():
        probe.exception()


def _write(coordinator: Coordinator) -> None:
    """A row that needs room, and is gone at the end."""
    name, table = secrets.token_hex(8), schema.probes
    with coordinator.store.write() as tx:
        tx.execute(sa.insert(table).values(id=name, filler=bytes(FILLER_BYTES)))
        tx.execute(sa.delete(table).where(table.c.id == name))

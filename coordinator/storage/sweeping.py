"""What was left behind is swept by itself: updates of rounds that are over, old states, files of killed uploads.

Most of it is deleted the moment it is of no more use; a process that was killed in between, or a store that failed,
leaves it. A pass looks at a bounded number of blobs and goes on where the one before it stopped.

Checkpoints, programs, tasks and manifests are never swept: see `storage/collection.py`.
"""

import itertools
import re
import time
from collections.abc import Iterator

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import blobs, reported, schema
from fedrela.coordinator.storage.blobs import Stored

BLOBS_PER_PASS = 500
MIN_AGE_SECONDS = 900.0  # a younger one may be an update that is about to be counted, or a round about to be committed
PAUSE_SECONDS = 300.0  # from the end of one sweep to the next
_PART = re.compile(r"(public|private)/\.[0-9a-f]+\.part")
_UPDATE = re.compile(r"private/([a-z0-9-]+)\.[0-9a-f]{64}")
_STATE = re.compile(r"private/([a-z0-9-]+)\.state\.[0-9a-f]{64}")


class Sweep:
    """Owns a listing of the blobs that is under way."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator
        self._listing: Iterator[Stored] | None = None
        self._next_at = 0.0  # monotonic

    def go_on(self) -> int:
        """Look at the next blobs, if it is time; return how many were deleted. Raises Unavailable; then begin anew."""
        if self._listing is None:
            if time.monotonic() < self._next_at:
                return 0
            self._listing = self._coordinator.blobs.listing()
        try:
            seen = list(itertools.islice(self._listing, BLOBS_PER_PASS))
            names = unneeded(self._coordinator, seen, time.time() - MIN_AGE_SECONDS)
            for name in names:
                self._coordinator.blobs.delete(name)
        except Exception:
            self._rest()
            raise
        if len(seen) < BLOBS_PER_PASS:
            self._rest()
        return len(names)

    def _rest(self) -> None:
        self._listing, self._next_at = None, time.monotonic() + PAUSE_SECONDS


def unneeded(coordinator: Coordinator, listed: list[Stored], before: float) -> list[str]:
    """Of blobs that were stored before a time, in Unix seconds, those that devices left and no round needs."""
    old = [blob.name for blob in listed if blob.stored_at < before]
    updates = {name: match[1] for name in old if (match := _UPDATE.fullmatch(name))}
    states = {name: match[1] for name in old if (match := _STATE.fullmatch(name))}
    needed = _needed_updates(coordinator, list(updates.values())) | _needed_sums(coordinator, list(updates.values()))
    needed |= _needed_states(coordinator, list(states.values()))
    parts = [name for name in old if _PART.fullmatch(name)]
    return parts + [name for name in (*updates, *states) if name not in needed]


def _needed_updates(coordinator: Coordinator, assignment_ids: list[str]) -> set[str]:
    """The blobs of those assignments' updates that a round is going to count."""
    if not assignment_ids:
        return set()
    assignments, tasks = schema.assignments, schema.tasks
    query = (
        sa.select(assignments.c.id, assignments.c.update_sha256)
        .join(tasks, tasks.c.id == assignments.c.task_id)
        .where(
            assignments.c.id.in_(assignment_ids),
            reported.is_waiting(),
            tasks.c.status.in_(("running", "paused")),
        )
    )
    with coordinator.store.read() as view:
        return {blobs.update(row.id, row.update_sha256) for row in view.execute(query)}


def _needed_sums(coordinator: Coordinator, group_ids: list[str]) -> set[str]:
    """The blobs of those groups' sums that a round is going to count; they are named as updates are."""
    with coordinator.store.read() as view:
        return reported.waiting_sums(view, group_ids)


def _needed_states(coordinator: Coordinator, task_ids: list[str]) -> set[str]:
    """The blobs of those tasks' server optimizers as they are now, where another round needs them."""
    if not task_ids:
        return set()
    table = schema.tasks
    query = sa.select(table.c.server_state).where(table.c.id.in_(task_ids), table.c.status.in_(("running", "paused")))
    with coordinator.store.read() as view:
        return set(view.scalars(query))

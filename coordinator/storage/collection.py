"""Old blobs: which ones no task needs any more.

Needed are: what a task consists of, its checkpoints (all of them, or the newest `keep_checkpoints`), its server
optimizer's state, and the updates of rounds that are not committed, with the models that they began with. Everything
younger than `min_age_seconds` stays too: it may be about to be published. What devices sent goes by itself, at once or
by a sweep (`storage/sweeping.py`).
"""

import logging
import time
from dataclasses import dataclass

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import blobs, reported, schema
from fedrela.core.errors import FedRelaError, InvalidMessage

log = logging.getLogger("fedrela.coordinator")


@dataclass(frozen=True)
class Collected:
    """What went, or would go."""

    names: tuple[str, ...]
    bytes: int
    dry_run: bool


def collect(coordinator: Coordinator, min_age_seconds: float, dry_run: bool) -> Collected:
    """Delete, or only list, every blob that is not needed. Listing comes first, so a new blob is never at risk."""
    if min_age_seconds < 0:
        raise InvalidMessage(f"min_age_seconds is {min_age_seconds}", remedy="use 0 or more")
    before = time.time() - min_age_seconds
    old = [blob for blob in coordinator.blobs.listing() if blob.stored_at < before]
    still_needed = needed(coordinator)
    unneeded = sorted((blob for blob in old if blob.name not in still_needed), key=lambda blob: blob.name)
    if not dry_run:
        for blob in unneeded:
            coordinator.blobs.delete(blob.name)
    return Collected(tuple(blob.name for blob in unneeded), sum(blob.size for blob in unneeded), dry_run)


def discard(coordinator: Coordinator, names: list[str]) -> None:
    """Delete blobs that nothing refers to any more. Where the store fails, a sweep finds them later."""
    try:
        for name in names:
            coordinator.blobs.delete(name)
    except FedRelaError as error:
        log.warning("blobs stay until they are swept", extra={"problem": str(error)})


def needed(coordinator: Coordinator) -> set[str]:
    """The names of all blobs that some task needs."""
    names: set[str] = set()
    assignments, rounds = schema.assignments, schema.rounds
    with coordinator.store.read() as view:
        tasks = view.execute(sa.select(schema.tasks)).all()
        checkpoints = view.execute(
            sa.select(rounds.c.task_id, rounds.c.checkpoint_sha256)
            .where(rounds.c.checkpoint_sha256.is_not(None))
            .order_by(rounds.c.number.desc())
        ).all()
        waiting = view.execute(
            sa.select(assignments.c.id, assignments.c.update_sha256, rounds.c.base_checkpoint_sha256)
            .join(schema.tasks, schema.tasks.c.id == assignments.c.task_id)
            .join(
                rounds,
                sa.and_(rounds.c.task_id == assignments.c.task_id, rounds.c.number == assignments.c.round),
            )
            .where(
                reported.is_waiting(),
                schema.tasks.c.status.in_(("running", "paused")),
            )
        ).all()
        names |= reported.waiting_sums(view)
    names |= {blobs.update(row.id, row.update_sha256) for row in waiting}
    names |= {blobs.public(row.base_checkpoint_sha256) for row in waiting}
    for task in tasks:
        of_task = [row.checkpoint_sha256 for row in checkpoints if row.task_id == task.id]
        retained = (
            of_task[: coordinator.settings.keep_checkpoints] if coordinator.settings.keep_checkpoints else of_task
        )
        roots = {
            task.task_sha256,
            task.manifest_sha256,
            task.checkpoint_sha256,
            task.initial_checkpoint_sha256,
            *retained,
        }
        files = coordinator.manifest(task.manifest_sha256).files().values()
        names |= {blobs.public(sha256) for sha256 in roots | {sha256 for sha256, _ in files}}
        if task.status in ("running", "paused"):
            names.add(task.server_state)
    return names

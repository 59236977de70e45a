"""An ended task is deleted, with its history and its models: what is left is what other tasks name as well.

delete(coordinator, task_id, now)        # programs and manifests, which publications share, go with `task collect`
"""

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator
from fedrela.coordinator.storage import blobs, collection, rows, schema, secure_rows
from fedrela.core.errors import Refused


def delete(coordinator: Coordinator, task_id: str, now: float) -> None:
    """Delete a finished or cancelled task: its rounds, counts, accuracies and checkpoints. There is no way back.

    Raises Refused: 404, or 409 for a task that isn't over.
    """
    with coordinator.store.write() as tx:
        row = rows.lock_task(tx, task_id)
        if row.status not in ("finished", "cancelled"):
            raise Refused(
                f"the task is {row.status}",
                remedy="cancel it first (`fedrela task cancel`)",
                code="task-not-over",
                status=409,
            )
        rounds = schema.rounds
        hashes = set(tx.scalars(sa.select(rounds.c.checkpoint_sha256).where(rounds.c.task_id == task_id)))
        hashes = (hashes | {row.checkpoint_sha256, row.task_sha256}) - {None, row.initial_checkpoint_sha256}
        for table in (schema.accuracies, schema.assignments, schema.folded_assignments, rounds):
            tx.execute(sa.delete(table).where(table.c.task_id == task_id))
        secure_rows.delete(tx, task_id)
        tx.execute(sa.delete(schema.tasks).where(schema.tasks.c.id == task_id))
    needed = collection.needed(coordinator)
    collection.discard(coordinator, sorted({blobs.public(sha256) for sha256 in hashes} - needed))

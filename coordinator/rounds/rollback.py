"""An operator takes a task back to an earlier global model. Round numbers never go back: the next one begins from it.

The open round ends without a result; what was at work for it or reported in it counts nowhere. The server optimizer
begins anew, because only its newest state is kept, and so does what is known of usual updates.
"""

import sqlalchemy as sa

from fedrela.coordinator.context import Coordinator, parse_task
from fedrela.coordinator.rounds import isolation, rules, tasks
from fedrela.coordinator.secure import endings
from fedrela.coordinator.storage import blobs, collection, reported, rows, schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core.errors import Refused
from fedrela.core.secure import clipping


def rollback(coordinator: Coordinator, task_id: str, to_round: int, now: float) -> int:
    """Open the next round on the model of round `to_round` (0: the start weights); return the new round's number.

    Raises Refused (404, 409) where that round has no model any more, or the task no round left.
    """
    with coordinator.store.write() as tx:
        row = tasks.lock_alive(tx, task_id)
        sha256, size_bytes = _checkpoint(coordinator, tx, row, to_round)
        if row.round >= parse_task(row.task_json).rounds:
            raise Refused(
                f"round {row.round} is the task's last, and a rollback needs the next",
                remedy="download that round's model, and publish a new task that begins from it",
                code="no-round-left",
                status=409,
            )
        leftovers = reported.bodies(tx, task_id, row.round) + ([row.server_state] if row.server_state else [])
        leftovers += endings.leftovers(tx, task_id, row.round)
        reported.close_from(tx, task_id, row.round, now)
        endings.close(tx, task_id, row.round, now)
        abandoned = rules.abandon(rows.as_round(rows.round_row(tx, task_id, row.round)))
        rows.save_round(tx, task_id, abandoned, closed_at=now, worker=None, worker_until=None)
        opened = rules.opened(abandoned.number + 1, now)
        clip = clipping.first(parse_task(row.task_json).privacy)
        rows.open_round(tx, task_id, opened, rows.Beginning(sha256, size_bytes, clip))
        values = {
            "round": opened.number,
            "checkpoint_sha256": sha256,
            "checkpoint_bytes": size_bytes,
            "server_state": "",
            "update_norms": "",
            "problem": "" if row.status == "running" else row.problem,
        }
        tx.execute(sa.update(schema.tasks).where(schema.tasks.c.id == task_id).values(values))
    isolation.forget(coordinator, task_id)
    collection.discard(coordinator, leftovers)
    return opened.number


def _checkpoint(coordinator: Coordinator, tx: sa.Connection, row: Row, to_round: int) -> tuple[str, int]:
    """The SHA-256 and size of a round's model, which is still stored."""
    sha256: str | None = row.initial_checkpoint_sha256
    if to_round != 0:
        table = schema.rounds
        query = sa.select(table.c.checkpoint_sha256).where(
            table.c.task_id == row.id, table.c.number == to_round, table.c.phase == "committed"
        )
        sha256 = tx.scalar(query)
    try:
        if sha256 is not None:
            return sha256, coordinator.blobs.size(blobs.public(sha256))
    except KeyError:
        pass
    raise Refused(
        f"the model of round {to_round} is not there",
        remedy="choose a committed round whose checkpoint is kept; `fedrela task show` lists rounds",
        code="checkpoint-missing",
        status=409,
    )

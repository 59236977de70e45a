"""A secure round that comes to nothing is skipped: the weights stay as they are, and the next number opens.

Who has masked an update is not asked for another of the same round, so it can't be tried again as a plain one is.
"""

from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.secure import endings
from fedrela.coordinator.storage import reported, rows, schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core.task import Task


def skip(tx: sa.Connection, row: Row, task: Task, round_: Round, why: str, now: float) -> None:
    """End a round and open the next from the same weights. `row`: the task, locked; `why`: what an operator is told.

    What was summed is to be deleted afterwards: `endings.discard`.
    """
    number = round_.number
    record = rows.round_row(tx, row.id, number)
    reported.close_from(tx, row.id, number, now)
    endings.close(tx, row.id, number, now)
    over = rules.skip(round_)
    rows.save_round(tx, row.id, over, closed_at=now, worker=None, worker_until=None)
    advanced: dict[str, Any] = {"round": number + 1, "problem": f"round {number} was skipped: {why}"}
    if number >= task.rounds:
        advanced |= {"status": "finished", "finished_at": now, "update_norms": "", "server_state": ""}
    else:
        following = rules.opened(number + 1, now)
        rows.open_round(tx, row.id, following, record.base_checkpoint_sha256, record.base_checkpoint_bytes)
    tx.execute(sa.update(schema.tasks).where(schema.tasks.c.id == row.id).values(**advanced))

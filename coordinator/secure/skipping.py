"""A round that can't be completed is skipped: the weights stay as they are, and the next number opens.

A plain round is tried again first. A secure one isn't: who has masked an update is not asked for another of that round.
"""

from typing import Any

import sqlalchemy as sa

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.coordinator.secure import endings
from fedrela.coordinator.storage import reported, rows, schema, secure_rows
from fedrela.coordinator.storage.rows import Row
from fedrela.core.task import Task


def skip(tx: sa.Connection, row: Row, task: Task, round_: Round, why: str, now: float) -> list[str]:
    """End a round and open the next from the same weights; return the blobs that nobody needs any more.

    `row`: the task, locked; `why`: what an operator is told.
    """
    number = round_.number
    record = rows.round_row(tx, row.id, number)
    sums = {group.phase for group in secure_rows.of_round(tx, row.id, number)}
    leftovers = [*reported.bodies(tx, row.id, number), *endings.leftovers(tx, row.id, number)]
    reported.close_from(tx, row.id, number, now)
    endings.close(tx, row.id, number, now)
    rows.save_round(tx, row.id, rules.skip(round_), closed_at=now, worker=None, worker_until=None)
    tried = f" after {round_.attempt} attempts" if round_.attempt > 1 else ""
    advanced: dict[str, Any] = {"round": number + 1, "problem": f"round {number} was skipped{tried}: {why}"}
    if "dropped" in sums and "summed" not in sums:
        advanced |= {"update_norms": ""}  # nobody is as usual any more: a model that begins to learn moves further
    if number >= task.rounds:
        advanced |= {"status": "finished", "finished_at": now, "update_norms": "", "server_state": ""}
    else:
        following = rules.opened(number + 1, now)
        base = (record.base_checkpoint_sha256, record.base_checkpoint_bytes)
        rows.open_round(tx, row.id, following, rows.Beginning(*base, record.clip_millionths))
    tx.execute(sa.update(schema.tasks).where(schema.tasks.c.id == row.id).values(**advanced))
    return leftovers

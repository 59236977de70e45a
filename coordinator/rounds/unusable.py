"""Global models that devices can't use: each tries one before it trains on it, as the coordinator runs no program.

Two devices that say so pause the task, or all that answered once the round waits for no others. One alone among many
may be at fault itself.
"""

import sqlalchemy as sa

from fedrela.coordinator.context import parse_task
from fedrela.coordinator.storage import schema
from fedrela.coordinator.storage.rows import Row
from fedrela.core.wire import FailureCode

MODEL_UNUSABLE: FailureCode = "model-unusable"
ENOUGH = 2  # devices
_A = schema.assignments


def pause_if_agreed(tx: sa.Connection, row: Row, *, round_is_over: bool = False) -> bool:
    """Pause a running task where enough devices can't use the model that its open round begins with.

    `row`: the task, locked. `round_is_over`: its deadline has passed. Returns whether the task was paused.
    """
    if row.status != "running":
        return False
    of_round = sa.and_(_A.c.task_id == row.id, _A.c.round == row.round)
    says_so = _A.c.failure == MODEL_UNUSABLE
    devices = tx.scalar(sa.select(sa.func.count(_A.c.device_id.distinct())).where(of_round, says_so)) or 0
    answered = _A.c.status.in_(("reported", "failed"))
    others = tx.scalar(sa.select(sa.exists().where(of_round, answered, ~sa.func.coalesce(says_so, sa.false()))))
    waits_for_none = round_is_over or parse_task(row.task_json).round.goal == 1
    if devices < ENOUGH and (others or not devices or not waits_for_none):
        return False
    problem = (
        f"{devices} device{'s report' if devices > 1 else ' reports'} that the model which round {row.round} begins "
        f"with predicts values that are not finite ({MODEL_UNUSABLE}); "
        "run `fedrela task rollback TASK --to ROUND` with a round whose model is right"
    )
    tx.execute(sa.update(schema.tasks).where(schema.tasks.c.id == row.id).values(status="paused", problem=problem))
    return True

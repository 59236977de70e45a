"""Vectors for what the learning rate is multiplied by in a round, under each schedule, with and without re-labels.

>>> build()["cases"][0]["factors"]
[[1, 1.0]]
"""

import json
from typing import Any, get_args

from fedrela.core.lr_schedule import LrSchedule
from fedrela.core.protocol import task_json
from fedrela.core.protocol.requirements import LR_SCHEDULE
from fedrela.core.task import LocalTraining, Relabel, Task

_ROUNDS = (1, 2, 7, 10, 300, 1_000_000)
_RELABELS = (Relabel(enabled=False), Relabel(start=0.5, lr_scale=0.3))


def build() -> dict[str, Any]:
    """The document learning-rates.json: tasks as they travel, with pairs of a round and its factor."""
    return {
        "cases": [
            _case(schedule, rounds, relabel)
            for schedule in get_args(LrSchedule)
            for rounds in _ROUNDS
            for relabel in _RELABELS
        ]
    }


def _case(schedule: LrSchedule, rounds: int, relabel: Relabel) -> dict[str, Any]:
    local = LocalTraining(lr_schedule=schedule)
    task = Task("t", rounds, local=local, relabel=relabel, requires=() if schedule == "constant" else (LR_SCHEDULE,))
    numbers = {*range(1, 11), rounds * 4 // 5 + 1, *(rounds * percent // 100 for percent in range(5, 101, 5))}
    factors = [[number, task.lr_factor(number)] for number in sorted(numbers) if 1 <= number <= rounds]
    return {"task": json.loads(task_json.encode(task)), "factors": factors}

"""Totals over a hold-out by the model of `rounds/`: of which samples, from which streams, over how many passes."""

from dataclasses import replace
from typing import Any

import numpy as np

from fedrela.conformance.rounds import ONE_DEVICE
from fedrela.core.protocol import task_json
from fedrela.core.task import Relabel, Task
from fedrela.core.tensors import Params
from fedrela.edge.engines.engine import Engine
from fedrela.edge.training import holdout
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound

FRACTION = 0.3


def build(engine: Engine, weights: Params, examples: Examples, secret: bytes) -> list[dict[str, Any]]:
    """The document rounds/evaluations.json. Samples are keyed by row; passes count in rounds without re-labels, too."""
    by_row = replace(examples, ids=np.arange(len(examples)))
    _, held_out = holdout.split(by_row, FRACTION, secret)
    cases = []
    for passes, number in ((1, 1), (3, 1), (3, 4)):
        task = Task("digits", 4, round=ONE_DEVICE, seed=7, local_evaluation=True, relabel=Relabel(passes=passes))
        report = holdout.evaluate(engine, LocalRound(task, number, secret), weights, held_out)
        cases.append(
            {
                "secret": secret.hex(),
                "fraction": FRACTION,
                "round": number,
                "task": task_json.encode(task).decode(),
                "held": held_out.keys.tolist(),
                "loss_sum": report.loss_sum,
                "correct": report.correct,
                "examples": report.examples,
            }
        )
    return cases

"""A cell's task: the trunk's, and that of each branch.

The branches differ in nothing but the labels: same start weights, same learning rate, same random numbers.
"""

import dataclasses

import numpy as np

from fedrela.core.privacy import CLIPPED_SHARE, Privacy
from fedrela.core.task import SMALLEST_COHORT, Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.emulator.data.shards import Shards
from fedrela.study.loop import counts
from fedrela.study.methods import METHODS
from fedrela.study.runs.cells import Cell
from fedrela.study.treatments import Treatment

# Branches draw from streams of their own: round 1 of a branch must not repeat round 1 of its trunk.
BRANCH_SEED = 1_000_000
_SYNTHESIS = {"none": "fedavg", "mixup": "mixup", "smote": "smote", "generated": "resampling"}
_COUNTS = 9  # what the noise on counts is drawn for
_DAY_SECONDS = 86_400.0
_LONG_SECONDS = 1e6  # virtual: nobody is late in this study


def trunk_task(cell: Cell, rounds: int, shards: Shards) -> Task:
    """The method without re-labels."""
    return _task(cell, cell.trunk_key, rounds, cell.seed, Relabel(enabled=False), shards, lr=cell.training.lr)


def branch_task(cell: Cell, shards: Shards) -> Task:
    """What follows the trunk. The branch that keeps its labels gets the smaller learning rate by its own value."""
    assert cell.variant is not None
    variant, rounds = cell.variant, cell.training.rounds - cell.start
    lr, relabel = cell.training.lr * variant.lr_scale, Relabel(enabled=False)
    if cell.arm == "relabeled":
        lr = cell.training.lr
        relabel = Relabel(
            start=1,
            period=variant.period,
            threshold_percent=variant.threshold_percent,
            passes=variant.passes,
            lr_scale=variant.lr_scale,
        )
    return _task(cell, cell.key, rounds, BRANCH_SEED + cell.seed, relabel, shards, lr=lr)


def own_task(cell: Cell, treatment: Treatment, shards: Shards) -> Task:
    """What the study's own loop goes by: the branch that re-labels, with a treatment's local training and one rate."""
    task = branch_task(dataclasses.replace(cell, arm="relabeled", method=treatment.program or cell.method), shards)
    settings, changes = dict(task.local.hyperparameters), METHODS[_SYNTHESIS[treatment.synthesis]].local
    if treatment.epsilon:
        devices = range(shards.scenario.devices)
        held = [np.bincount(shards.labels[shards.indices(one)], minlength=len(shards.class_counts)) for one in devices]
        noisy = counts.noisy(np.array(held), treatment.epsilon, np.random.default_rng([cell.seed, _COUNTS]))
        settings |= {f"count_{label}": float(count) for label, count in enumerate(noisy)}
    local = dataclasses.replace(task.local, hyperparameters=settings, **changes)
    return dataclasses.replace(task, local=local, relabel=dataclasses.replace(task.relabel, lr_scale=1.0))


def _task(cell: Cell, key: str, rounds: int, seed: int, relabel: Relabel, shards: Shards, *, lr: float) -> Task:
    method, training = METHODS[cell.method], cell.training
    settings = {"lr": lr, "momentum": training.momentum, "weight_decay": training.weight_decay}
    settings |= method.hyperparameters
    if method.knows_global_counts:
        settings |= {f"count_{label}": float(count) for label, count in enumerate(shards.class_counts)}
    cohort = cell.setting.cohort or cell.setting.devices
    privacy, aggregation = Privacy("none"), Aggregation(**method.aggregation)  # an emulated device has no secret
    if cell.setting.secure:
        waits = {"gather_seconds": _DAY_SECONDS, "phase_seconds": _DAY_SECONDS}
        privacy = Privacy("peers", cohort, cohort, clipped_share=CLIPPED_SHARE, **waits)
        aggregation = dataclasses.replace(aggregation, weight_by_examples=False)
    return Task(
        name=f"study-{key}",
        rounds=rounds,
        population=f"study-{key}",
        seed=seed,
        local=LocalTraining(training.epochs, training.batch_size, settings, **method.local),
        relabel=relabel,
        round=Rounds(
            goal=cohort,
            minimum=cohort,
            smallest_cohort=min(cohort, SMALLEST_COHORT),  # nobody is behind an emulated device
            deadline_seconds=_LONG_SECONDS,
            compute_lease_seconds=_LONG_SECONDS,
            upload_lease_seconds=_LONG_SECONDS,
        ),
        aggregation=aggregation,
        privacy=privacy,
    )

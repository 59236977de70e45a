"""A cell that the study's own loop trains: a treatment, or the branch without one that it is compared with.

final, row = train(setup, cell, bundle, weights)
discard(setup, cell)                    # once both are kept
"""

import dataclasses
from pathlib import Path

import numpy as np

from fedrela.core.bundle import Bundle
from fedrela.core.tensors import Params
from fedrela.study.loop import branch as own_loop
from fedrela.study.loop.branch import Branch
from fedrela.study.loop.state import State
from fedrela.study.methods import METHODS
from fedrela.study.runs import bundles, rows
from fedrela.study.runs.cells import Cell
from fedrela.study.runs.pause import Pause
from fedrela.study.runs.result_files import Row
from fedrela.study.runs.setups import Setup, counting
from fedrela.study.runs.tasks import own_task


def train(setup: Setup, cell: Cell, bundle: Bundle, weights: Params) -> tuple[Params, Row]:
    """The branch from the trunk's weights: its own at the end, and its line."""
    own, pause = _branch(setup, cell, bundle), Pause(setup.workspace.pause)
    label = f"{cell.setting.name}, {METHODS[cell.method].title}, seed {cell.seed}: {cell.arm} (own loop)"

    counted = counting(setup.observer, label)

    def committed(number: int) -> None:
        counted(number)
        pause.wait()

    state = own_loop.run(own, weights, _path(setup, cell), committed)
    row = rows.federated(setup, cell, own.engine, state.weights, None)
    row |= {"seconds": round(state.seconds, 1), "updates": own.task.rounds * len(own.examples)}
    if cell.arm == "relabeled":
        row["moved"] = _moved(setup, own, state)
    return state.weights, row


def discard(setup: Setup, cell: Cell) -> None:
    """What a killed branch would go on from."""
    _path(setup, cell).unlink()


def _path(setup: Setup, cell: Cell) -> Path:
    return setup.workspace.running / f"{cell.key}.safetensors"


def _branch(setup: Setup, cell: Cell, bundle: Bundle) -> Branch:
    assert cell.variant is not None
    assert cell.variant.treatment is not None
    treatment, lr_scale, dataset = cell.variant.treatment, cell.variant.lr_scale, setup.prepared.dataset
    if cell.arm == "kept":
        treatment = treatment.kept()
    task = own_task(cell, treatment, setup.shards)
    if treatment.program:
        cell = dataclasses.replace(cell, method=treatment.program)
        bundle = bundles.exported(cell, dataset.classes, setup.workspace.work / "bundles")
    return Branch(treatment, setup.engine(cell, bundle), task, lr_scale, setup.shards, dataset)


def _moved(setup: Setup, own: Branch, state: State) -> dict[str, object]:
    """By the labels trained on: of one alone both are the same, and one of two counts as moved to the second."""
    old = np.concatenate([examples.y for examples in own.examples])
    new = np.concatenate([labels.second for labels in state.labels])
    return rows.movement(setup, old, new)

"""One group of cells: a trunk and its branches, or one reference.

    trunk       a method for `start` rounds from the seed's start weights
    branches    two shorter tasks published with the trunk's checkpoint as their start weights and the learning rate
                times `lr_scale`: one keeps the labels, one re-labels in its first round; same draws otherwise

Server momentum starts at zero in both branches. Each of these tasks, and a reference, goes on from its last round if it
was killed.

    run(group, prepared, workspace, command, observer)
"""

import os
import shutil
import time

from fedrela.coordinator import trained_model
from fedrela.core import signing, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.protocol import task_json
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.edge.engines.engine import Engine
from fedrela.study.data.prepared import Prepared
from fedrela.study.loop import own_cell
from fedrela.study.methods import METHODS
from fedrela.study.runs import bundles, fleet, rows, scenes
from fedrela.study.runs.cells import Cell
from fedrela.study.runs.fleet import Trained
from fedrela.study.runs.pause import Pause
from fedrela.study.runs.result_files import Row
from fedrela.study.runs.setups import CellObserver, Group, Setup, Workspace, counting
from fedrela.study.runs.snapshots import Snapshots
from fedrela.study.runs.tasks import branch_task, trunk_task


def run(group: Group, prepared: Prepared, workspace: Workspace, command: str, observer: CellObserver) -> None:
    """Run a group's unfinished cells, trunk first."""
    cell = group.pending[0]
    Pause(workspace.pause).wait()
    prepared, shards = scenes.dealt(prepared, cell.setting, cell.seed)
    setup = Setup(group, prepared, shards, workspace, command, observer)
    if cell.arm == "reference":
        _reference(setup)
    else:
        _federated(setup)


def _federated(setup: Setup) -> None:
    classes = setup.prepared.dataset.classes
    bundle = bundles.exported(setup.cell, classes, setup.workspace.work / "bundles")
    runner = setup.engine(setup.cell, bundle)
    trunk = _train_trunk(setup, bundle, runner) if setup.group.trunk_rounds(setup.workspace) else None
    for cell in setup.group.pending:
        path = setup.workspace.checkpoint(cell, cell.start)
        weights = tensors.from_bytes(path.read_bytes(), bundle.manifest.weights)
        if cell.arm == "trunk":
            _finished(setup, cell, bundle, weights, rows.federated(setup, cell, runner, weights, trunk))
        elif cell.variant is not None and cell.variant.treatment:
            _finished(setup, cell, bundle, *own_cell.train(setup, cell, bundle, weights))
            own_cell.discard(setup, cell)
        else:
            _branch(setup, cell, bundle, runner, weights)


def _branch(setup: Setup, cell: Cell, bundle: Bundle, runner: Engine, weights: Params) -> None:
    task = branch_task(cell, setup.shards)
    trained = _train(setup, cell, bundle, runner, weights, task, frozenset({task.rounds}))
    final = trained.weights[task.rounds]
    row = rows.federated(setup, cell, runner, final, trained)
    if cell.arm == "relabeled":
        row["moved"] = rows.moved(setup, runner, weights, task)
    _finished(setup, cell, bundle, final, row)
    _snapshots(setup, task).discard()


def _finished(setup: Setup, cell: Cell, bundle: Bundle, weights: Params, row: Row) -> None:
    """Keep the cell's model, then say that it is finished."""
    trained_model.write(setup.workspace.model(cell), trained_model.of_bundle(bundle, weights))
    setup.observer.finished(row)


def _train_trunk(setup: Setup, bundle: Bundle, runner: Engine) -> Trained:
    """Train once, as far as any unfinished branch needs, and keep every checkpoint that a branch starts from."""
    rounds = setup.group.trunk_rounds(setup.workspace)
    starts = frozenset(start for start in setup.group.starts if start <= rounds)
    weights = bundles.start_weights(setup.cell, bundle, setup.workspace.work / "start")
    task = trunk_task(setup.cell, rounds, setup.shards)
    trained = _train(setup, setup.cell, bundle, runner, weights, task, starts)
    for start, weights_then in trained.weights.items():
        path = setup.workspace.checkpoint(setup.cell, start)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(tensors.to_bytes(weights_then))
        part.replace(path)
    _snapshots(setup, task).discard()
    return trained


def _train(
    setup: Setup, cell: Cell, bundle: Bundle, runner: Engine, weights: Params, task: Task, keep: frozenset[int]
) -> Trained:
    folder = setup.workspace.work / "published" / cell.key
    published = bundles.with_weights(bundle, weights, folder)
    label = f"{cell.setting.name}, {METHODS[cell.method].title}, seed {cell.seed}: {cell.arm}"

    try:
        dataset, pause = setup.prepared.dataset, Pause(setup.workspace.pause)
        saved = _snapshots(setup, task)
        done = counting(setup.observer, label)
        return fleet.train(published, task, setup.shards, dataset, keep, done, saved, pause, runner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _snapshots(setup: Setup, task: Task) -> Snapshots:
    """Of a task: by a hash of all that it says, its name by its cell included."""
    return Snapshots(setup.workspace.running / signing.sha256(task_json.encode(task))[:16])


def _reference(setup: Setup) -> None:
    from fedrela.study.eager import devices  # both need torch
    from fedrela.study.runs import centralized

    cell, device, pause = setup.cell, setup.workspace.reference_device, Pause(setup.workspace.pause)
    trained_on = devices.named(device)
    label = f"{cell.setting.name}, {cell.method} (PyTorch, pooled data), seed {cell.seed}"
    began, state = time.monotonic(), setup.workspace.running / f"{cell.key}.pt"

    counted = counting(setup.observer, label)

    def epoch_done(number: int) -> None:
        counted(number)
        pause.wait()

    dataset, pool = setup.prepared.dataset, setup.shards.pool
    pooled = centralized.Pooled(dataset.x[pool], dataset.y[pool], dataset.x_test, dataset.classes)
    probabilities = centralized.train_and_predict(cell, pooled, epoch_done, device, state)
    row = rows.describe(setup, cell, probabilities)
    row["seconds"] = round(time.monotonic() - began - pause.seconds, 1)
    row["trained_on"] = trained_on
    setup.observer.finished(row)
    state.unlink(missing_ok=True)

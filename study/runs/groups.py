"""One group of cells: a trunk and its branches, or one reference.

    trunk       a method for `start` rounds from the seed's start weights
    branches    two shorter tasks published with the trunk's checkpoint as their start weights and the learning rate
                times `lr_scale`: one keeps the labels, one re-labels in its first round; same draws otherwise

Server momentum starts at zero in both branches.

    run(group, prepared, workspace, command, observer)
"""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from fedrela.core import partition, signing, tensors
from fedrela.core.bundle import Bundle
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.emulator.data.shards import Shards, deal
from fedrela.emulator.results.evaluation import predict
from fedrela.study.data.datasets import Prepared
from fedrela.study.methods import METHODS
from fedrela.study.runs import bundles, fleet, metrics, result_files
from fedrela.study.runs.cells import Cell
from fedrela.study.runs.fleet import Trained
from fedrela.study.runs.tasks import branch_task, trunk_task


class CellObserver(Protocol):
    """Whoever is told what is done."""

    def advance(self, label: str, rounds: int) -> None:
        """More rounds are done."""
        ...

    def finished(self, row: result_files.Row) -> None:
        """A cell is finished."""
        ...


@dataclass(frozen=True)
class Workspace:
    """Where a study keeps things, and where references are trained.

    Results are for keeping; the work folder can be deleted at the price of trunks.
    """

    results: Path
    work: Path
    reference_device: str = "cpu"

    def checkpoint(self, cell: Cell, start: int) -> Path:
        """The trunk's weights after `start` rounds."""
        return self.work / "trunks" / f"{cell.trunk_key}-{start}.safetensors"


@dataclass(frozen=True)
class Group:
    """The unfinished cells of one trunk, or one reference; and all starts of that trunk's branches."""

    pending: tuple[Cell, ...]
    starts: frozenset[int]

    def trunk_rounds(self, workspace: Workspace) -> int:
        """How far the trunk must be trained; 0: every checkpoint that is needed is there."""
        needed = {cell.start for cell in self.pending if cell.arm != "reference"}
        return max((start for start in needed if not workspace.checkpoint(self.pending[0], start).exists()), default=0)

    def rounds(self, workspace: Workspace) -> int:
        """All rounds that the unfinished cells still take; an epoch of a reference counts as one."""
        branches = [cell.training.rounds - cell.start for cell in self.pending if cell.variant is not None]
        references = [cell.training.rounds * cell.training.epochs for cell in self.pending if cell.arm == "reference"]
        return self.trunk_rounds(workspace) + sum(branches) + sum(references)


@dataclass(frozen=True)
class Setup:
    """What all cells of one group share."""

    group: Group
    prepared: Prepared
    shards: Shards
    workspace: Workspace
    command: str
    observer: CellObserver

    @property
    def cell(self) -> Cell:
        """Any of them."""
        return self.group.pending[0]

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Classes by falling frequency: (many, medium, few)."""
        return partition.frequency_groups(self.shards.class_counts)


def run(group: Group, prepared: Prepared, workspace: Workspace, command: str, observer: CellObserver) -> None:
    """Run a group's unfinished cells, trunk first."""
    cell = group.pending[0]
    shards = deal(fleet.scenario(cell.setting, cell.seed), prepared.dataset)
    setup = Setup(group, prepared, shards, workspace, command, observer)
    if cell.arm == "reference":
        _reference(setup)
    else:
        _federated(setup)


def _federated(setup: Setup) -> None:
    classes = setup.prepared.dataset.classes
    bundle = bundles.exported(setup.cell, classes, setup.workspace.work / "bundles")
    trunk = _train_trunk(setup, bundle) if setup.group.trunk_rounds(setup.workspace) else None
    for cell in setup.group.pending:
        path = setup.workspace.checkpoint(cell, cell.start)
        weights = tensors.from_bytes(path.read_bytes(), bundle.manifest.weights)
        if cell.arm == "trunk":
            row = _row(setup, cell, bundle, weights, trunk)
        else:
            began = time.monotonic()
            task = branch_task(cell, setup.shards)
            trained = _train(setup, cell, bundle, weights, task, frozenset({task.rounds}))
            row = _row(setup, cell, bundle, trained.weights[task.rounds], trained)
            row["seconds"] = round(time.monotonic() - began, 1)
            if cell.arm == "relabeled":
                row["moved"] = _moved(setup, cell, bundle, weights, task)
        setup.observer.finished(row)


def _train_trunk(setup: Setup, bundle: Bundle) -> Trained:
    """Train once, as far as any unfinished branch needs, and keep every checkpoint that a branch starts from."""
    rounds = setup.group.trunk_rounds(setup.workspace)
    starts = frozenset(start for start in setup.group.starts if start <= rounds)
    weights = bundles.start_weights(setup.cell, bundle, setup.workspace.work / "start")
    task = trunk_task(setup.cell, rounds, setup.shards)
    trained = _train(setup, setup.cell, bundle, weights, task, starts)
    for start, weights_then in trained.weights.items():
        path = setup.workspace.checkpoint(setup.cell, start)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(tensors.to_bytes(weights_then))
        part.replace(path)
    return trained


def _train(setup: Setup, cell: Cell, bundle: Bundle, weights: Params, task: Task, keep: frozenset[int]) -> Trained:
    folder = setup.workspace.work / "published" / cell.key
    published = bundles.with_weights(bundle, weights, folder)
    label = f"{cell.setting.name}, {METHODS[cell.method].title}, seed {cell.seed}: {cell.arm}"
    scene = fleet.scenario(cell.setting, cell.seed)

    def committed(number: int) -> None:
        setup.observer.advance(label, 1)

    try:
        return fleet.train(published, task, scene, setup.prepared.dataset, keep, committed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _moved(setup: Setup, cell: Cell, bundle: Bundle, weights: Params, task: Task) -> dict[str, Any]:
    """Which way the labels moved in the first re-labeling of a branch."""
    dataset, scene = setup.prepared.dataset, fleet.scenario(cell.setting, cell.seed)
    old, new = fleet.relabels(fleet.engine(bundle), task, scene, setup.shards, dataset, weights)
    movement = metrics.moved(old, new, setup.shards.class_counts)
    many, _, few = setup.groups
    return dataclasses.asdict(movement) | {
        "many_to_few": movement.between(many, few),
        "few_to_many": movement.between(few, many),
    }


def _row(setup: Setup, cell: Cell, bundle: Bundle, weights: Params, trained: Trained | None) -> result_files.Row:
    probabilities = predict(fleet.engine(bundle), weights, setup.prepared.dataset.x_test)
    row = describe(setup, cell, probabilities)
    row["weights_sha256"] = signing.sha256(tensors.to_bytes(weights))
    if trained is not None:
        row |= {"bytes_up": trained.bytes_up, "bytes_down": trained.bytes_down, "updates": trained.updates}
    return row


def describe(setup: Setup, cell: Cell, probabilities: Any) -> result_files.Row:
    """A result's line: what was run, by which command, and what was measured on the balanced test set."""
    measured = metrics.measure(probabilities, setup.prepared.dataset.y_test, setup.groups)
    shown = dataclasses.asdict(cell)
    del shown["data_sha256"]
    return {
        "key": cell.key,
        **shown,
        "data_sha256": cell.data_sha256[:16],
        "command": setup.command,
        "class_counts": setup.shards.class_counts.tolist(),
        "groups": [list(group) for group in setup.groups],
        "classes_absent_per_device": _absent(setup.shards, cell.setting.devices),
        "test_examples": len(setup.prepared.dataset.y_test),
        "measured": result_files.without_nan(dataclasses.asdict(measured)),
    }


def _absent(shards: Shards, devices: int) -> float:
    """Mean number of classes that a device holds no sample of."""
    classes = len(shards.class_counts)
    held = [len(set(shards.labels[shards.indices(device)].tolist())) for device in range(devices)]
    return classes - sum(held) / devices


def _reference(setup: Setup) -> None:
    from fedrela.study.runs import centralized  # the only part that needs torch

    trained_on = centralized.named(setup.workspace.reference_device)
    cell = setup.cell
    began = time.monotonic()
    dataset, pool = setup.prepared.dataset, setup.shards.pool
    label = f"{cell.setting.name}, {cell.method} (PyTorch, pooled data), seed {cell.seed}"
    probabilities = centralized.train_and_predict(
        cell,
        dataset.x[pool],
        dataset.y[pool],
        dataset.x_test,
        dataset.classes,
        _epoch(setup.observer, label),
        setup.workspace.reference_device,
    )
    row = describe(setup, cell, probabilities)
    row["seconds"] = round(time.monotonic() - began, 1)
    row["trained_on"] = trained_on
    setup.observer.finished(row)


def _epoch(observer: CellObserver, label: str) -> Callable[[], None]:
    return lambda: observer.advance(label, 1)

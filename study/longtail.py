"""The long-tail study: every cell that is not finished yet, seed by seed, trunk before branches.

    trunk       a method for `start` rounds from the seed's start weights
    branches    two shorter tasks published with the trunk's checkpoint as their start weights and the learning rate
                times `lr_scale`: one keeps the labels, one re-labels in its first round; same draws otherwise

Server momentum starts at zero in both branches. May import numpy, `core`, `edge.emulator` and this package.

    run(study, prepared, results_path, work_folder, progress)
"""

import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from core import partition, signing, tensors
from core.bundle import Bundle
from core.task import Task
from core.tensors import Params
from edge.emulator.shards import Shards, deal
from study import bundles, fleet, metrics, results
from study.cells import Cell, expand
from study.config import Study
from study.datasets import Prepared
from study.fleet import Trained
from study.methods import METHODS
from study.tasks import branch_task, trunk_task


class Progress(Protocol):
    """Whoever shows how far a study is. Work is counted in rounds; an epoch of a reference counts as one."""

    def begin(self, cells: int, finished: int, rounds: int) -> None:
        """So many cells, of which some are finished, and so many rounds to go."""
        ...

    def advance(self, label: str, rounds: int) -> None:
        """More rounds are done."""
        ...

    def finished(self, row: results.Row) -> None:
        """A cell's result is on disk."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a study keeps things: results are for keeping, the work folder can be deleted at the price of trunks."""

    results: Path
    work: Path

    def checkpoint(self, cell: Cell, start: int) -> Path:
        """The trunk's weights after `start` rounds."""
        return self.work / "trunks" / f"{cell.trunk_key}-{start}.safetensors"


@dataclass(frozen=True)
class Setup:
    """What all cells of one trunk share."""

    cell: Cell  # any of them
    prepared: Prepared
    shards: Shards
    place: Place
    command: str

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Classes by falling frequency: (many, medium, few)."""
        return partition.frequency_groups(self.shards.class_counts)


def run(study: Study, prepared: Prepared, place: Place, progress: Progress, command: str) -> None:
    """Run what is not finished. May be killed at any time and started again."""
    groups = grouped(expand(study, prepared.sha256))
    done = set(results.read(place.results))
    pending = {key: [cell for cell in cells if cell.key not in done] for key, cells in groups.items()}
    total = sum(len(cells) for cells in groups.values())
    left = sum(len(cells) for cells in pending.values())
    rounds = sum(work(cells, place) for cells in pending.values())
    progress.begin(total, total - left, rounds)
    for key, cells in pending.items():
        if cells:
            one = cells[0]
            setup = Setup(one, prepared, deal(fleet.scenario(one.setting, one.seed), prepared.dataset), place, command)
            if one.arm == "reference":
                _reference(setup, progress)
            else:
                _federated(setup, cells, groups[key], progress)


def grouped(cells: Iterable[Cell]) -> dict[str, list[Cell]]:
    """Cells that share a trunk, in order."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell.trunk_key, []).append(cell)
    return groups


def work(pending: list[Cell], place: Place) -> int:
    """Rounds that the unfinished cells of one trunk still take."""
    branches = [cell.training.rounds - cell.start for cell in pending if cell.variant is not None]
    references = [cell.training.rounds * cell.training.epochs for cell in pending if cell.arm == "reference"]
    return _trunk_rounds(pending, place) + sum(branches) + sum(references)


def _trunk_rounds(pending: list[Cell], place: Place) -> int:
    """How far the trunk must be trained; 0: every checkpoint that is needed is there."""
    needed = {cell.start for cell in pending if cell.arm != "reference"}
    return max((start for start in needed if not place.checkpoint(pending[0], start).exists()), default=0)


def _federated(setup: Setup, pending: list[Cell], group: list[Cell], progress: Progress) -> None:
    classes = setup.prepared.dataset.classes
    bundle = bundles.exported(setup.cell, classes, setup.place.work / "bundles")
    trunk = _train_trunk(setup, bundle, pending, group, progress) if _trunk_rounds(pending, setup.place) else None
    for cell in pending:
        path = setup.place.checkpoint(cell, cell.start)
        weights = tensors.from_bytes(path.read_bytes(), bundle.manifest.weights)
        if cell.arm == "trunk":
            row = _row(setup, cell, bundle, weights, trunk)
        else:
            began = time.monotonic()
            task = branch_task(cell, setup.shards)
            trained = _train(setup, cell, bundle, weights, task, frozenset({task.rounds}), progress)
            row = _row(setup, cell, bundle, trained.weights[task.rounds], trained)
            row["seconds"] = round(time.monotonic() - began, 1)
            if cell.arm == "relabeled":
                row["moved"] = _moved(setup, cell, bundle, weights, task)
        results.append(setup.place.results, row)
        progress.finished(row)


def _train_trunk(setup: Setup, bundle: Bundle, pending: list[Cell], group: list[Cell], progress: Progress) -> Trained:
    """Train once, as far as any unfinished branch needs, and keep every checkpoint that a branch starts from."""
    rounds = _trunk_rounds(pending, setup.place)
    starts = frozenset(cell.start for cell in group if cell.start <= rounds)
    weights = bundles.start_weights(setup.cell, bundle, setup.place.work / "start")
    task = trunk_task(setup.cell, rounds, setup.shards)
    trained = _train(setup, setup.cell, bundle, weights, task, starts, progress)
    for start, found in trained.weights.items():
        path = setup.place.checkpoint(setup.cell, start)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(tensors.to_bytes(found))
        part.replace(path)
    return trained


def _train(
    setup: Setup, cell: Cell, bundle: Bundle, weights: Params, task: Task, keep: frozenset[int], progress: Progress
) -> Trained:
    folder = setup.place.work / "published" / cell.key
    published = bundles.with_weights(bundle, weights, folder)
    label = f"{cell.setting.name}, {METHODS[cell.method].title}, seed {cell.seed}: {cell.arm}"
    scene = fleet.scenario(cell.setting, cell.seed)

    def committed(number: int) -> None:
        progress.advance(label, 1)

    try:
        return fleet.train(published, task, scene, setup.prepared.dataset, keep, committed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _moved(setup: Setup, cell: Cell, bundle: Bundle, weights: Params, task: Task) -> dict[str, Any]:
    """Which way the labels moved in the first re-labeling of a branch."""
    dataset, scene = setup.prepared.dataset, fleet.scenario(cell.setting, cell.seed)
    old, new = fleet.relabels(fleet.engine(bundle), task, scene, setup.shards, dataset, weights)
    found = metrics.moved(old, new, setup.shards.class_counts)
    many, _, few = setup.groups
    return dataclasses.asdict(found) | {
        "many_to_few": found.between(many, few),
        "few_to_many": found.between(few, many),
    }


def _row(setup: Setup, cell: Cell, bundle: Bundle, weights: Params, trained: Trained | None) -> results.Row:
    probabilities = fleet.predict(fleet.engine(bundle), weights, setup.prepared.dataset.x_test)
    row = describe(setup, cell, probabilities)
    row["weights_sha256"] = signing.sha256(tensors.to_bytes(weights))
    if trained is not None:
        row |= {"bytes_up": trained.bytes_up, "bytes_down": trained.bytes_down, "updates": trained.updates}
    return row


def describe(setup: Setup, cell: Cell, probabilities: Any) -> results.Row:
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
        "measured": _without_nan(dataclasses.asdict(measured)),
    }


def _absent(shards: Shards, devices: int) -> float:
    """Mean number of classes that a device holds no sample of."""
    classes = len(shards.class_counts)
    held = [len(set(shards.labels[shards.indices(device)].tolist())) for device in range(devices)]
    return classes - sum(held) / devices


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}


def _reference(setup: Setup, progress: Progress) -> None:
    from study import centralised  # the only part that needs torch

    cell = setup.cell
    began = time.monotonic()
    dataset, pool = setup.prepared.dataset, setup.shards.pool
    label = f"{cell.setting.name}, {cell.method} (PyTorch, pooled data), seed {cell.seed}"
    probabilities = centralised.train_and_predict(
        cell, dataset.x[pool], dataset.y[pool], dataset.x_test, dataset.classes, _epoch(progress, label)
    )
    row = describe(setup, cell, probabilities)
    row["seconds"] = round(time.monotonic() - began, 1)
    results.append(setup.place.results, row)
    progress.finished(row)


def _epoch(progress: Progress, label: str) -> Callable[[], None]:
    return lambda: progress.advance(label, 1)

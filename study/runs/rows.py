"""A result's line: what was run, by which command, and what was measured on the balanced test set."""

import dataclasses
import platform
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core import signing, tensors
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.edge.engines.engine import Engine
from fedrela.emulator.data.shards import Shards
from fedrela.emulator.results.evaluation import predict
from fedrela.study.runs import fleet, metrics, result_files
from fedrela.study.runs.cells import Cell
from fedrela.study.runs.fleet import Trained
from fedrela.study.runs.setups import Setup


def moved(setup: Setup, runner: Engine, weights: Params, task: Task) -> dict[str, Any]:
    """Which way the labels moved in the first re-labeling of a branch."""
    return movement(setup, *fleet.relabels(runner, task, setup.shards, setup.prepared.dataset, weights))


def movement(setup: Setup, old: NDArray[np.int64], new: NDArray[np.int64]) -> dict[str, Any]:
    """From the old labels (n,) of all samples to the new ones."""
    found = metrics.moved(old, new, setup.shards.class_counts)
    many, _, few = setup.groups
    return dataclasses.asdict(found) | {
        "many_to_few": found.between(many, few),
        "few_to_many": found.between(few, many),
    }


def federated(setup: Setup, cell: Cell, runner: Engine, weights: Params, trained: Trained | None) -> result_files.Row:
    """The line of a trunk or a branch; `trained`: None where the checkpoint was there."""
    probabilities = predict(runner, weights, setup.prepared.dataset.x_test)
    row = describe(setup, cell, probabilities)
    if setup.workspace.device:
        from fedrela.study.eager.devices import named  # it needs torch

        row["trained_on"] = f"{named(setup.workspace.device)}, by PyTorch"
    row["weights_sha256"] = signing.sha256(tensors.to_bytes(weights))
    if trained is not None:
        progress = trained.progress
        row |= {"bytes_up": progress.bytes_up, "bytes_down": progress.bytes_down, "updates": progress.updates}
        row["seconds"] = round(progress.seconds, 1)
    return row


def describe(setup: Setup, cell: Cell, probabilities: Any) -> result_files.Row:
    """A result's line: what was run, by which command, and what was measured on the balanced test set."""
    measured = metrics.measure(probabilities, setup.prepared.dataset.y_test, setup.groups)
    shown, owners = cell.shown(), setup.prepared.test_owners
    del shown["data_sha256"]
    row = {
        "key": cell.key,
        **shown,
        "data_sha256": cell.data_sha256[:16],
        "command": setup.command,
        "processor": _processor(),
        "class_counts": setup.shards.class_counts.tolist(),
        "groups": [list(group) for group in setup.groups],
        "classes_absent_per_device": _absent(setup.shards, cell.setting.devices),
        "test_examples": len(setup.prepared.dataset.y_test),
        "measured": result_files.without_nan(dataclasses.asdict(measured)),
    }
    if owners is not None:
        row["people"] = metrics.by_owner(probabilities, setup.prepared.dataset.y_test, owners)
    return row


def _absent(shards: Shards, devices: int) -> float:
    """Mean number of classes that a device holds no sample of."""
    classes = len(shards.class_counts)
    held = [len(set(shards.labels[shards.indices(device)].tolist())) for device in range(devices)]
    return classes - sum(held) / devices


def _processor() -> str:
    """The processor's name: another one gives other bits."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

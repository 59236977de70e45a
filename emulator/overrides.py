"""A scenario with what its caller says otherwise: a seed, data of one's own, no re-labels, longer training.

>>> from fedrela.emulator.scenario import load
>>> trial, _ = load("trial")
>>> trained_for(trial, "", rounds=40, lr=0.01).task.local.hyperparameters["lr"]
0.01
"""

from dataclasses import replace
from pathlib import Path

from fedrela.core.errors import InvalidInput
from fedrela.core.task import Task
from fedrela.emulator.scenario import Scenario


def reseeded(scenario: Scenario, seed: int | None) -> Scenario:
    """With another seed, in the task too."""
    if seed is None:
        return scenario
    return replace(scenario, seed=seed, task=scenario.task and replace(scenario.task, seed=seed))


def without_relabels(scenario: Scenario, published: str) -> Scenario:
    """Without re-labels. Raises InvalidInput where its task is `published` already, or it has none."""
    task = _own_task(scenario, published, "--no-relabel", "relabel.enabled = false")
    return replace(scenario, task=replace(task, relabel=replace(task.relabel, enabled=False)))


def trained_for(
    scenario: Scenario,
    published: str,
    *,
    rounds: int | None = None,
    epochs: int | None = None,
    lr: float | None = None,
) -> Scenario:
    """With other rounds, local epochs, learning rate; None keeps one. Raises as `without_relabels` does."""
    if rounds is None and epochs is None and lr is None:
        return scenario
    task = _own_task(scenario, published, "--rounds, --epochs or --lr", "rounds, local.epochs and its hyperparameters")
    rate = {} if lr is None else {"lr": lr}
    local = replace(
        task.local,
        epochs=task.local.epochs if epochs is None else epochs,
        hyperparameters={**task.local.hyperparameters, **rate},
    )
    return replace(scenario, task=replace(task, rounds=task.rounds if rounds is None else rounds, local=local))


def _own_task(scenario: Scenario, published: str, option: str, setting: str) -> Task:
    if published or scenario.task is None:
        raise InvalidInput(
            f"{option} is given, and there is no task of this run's own to change",
            remedy=f"write {setting} into the task that is published",
        )
    return scenario.task


def with_bundle(scenario: Scenario, bundle: Path | None) -> Scenario:
    """Naming a bundle that is there, by its whole path."""
    return replace(scenario, bundle=str(bundle.resolve()), export=()) if bundle else scenario


def with_data(scenario: Scenario, data: str, model: object) -> Scenario:
    """On all of one's own data. Raises InvalidInput where there is no `model` for them."""
    if not data:
        return scenario
    if not model and not scenario.bundle:
        raise InvalidInput(
            "--data is given, and no model for it",
            remedy="make one: fedrela export my_models.py:build --input uint8:3x32x32 "
            f"--data {data} --out mine/; then add --bundle mine/",
        )
    path = Path(data)
    dataset = str(path.resolve()) if path.exists() else data
    return replace(scenario, data=replace(scenario.data, dataset=dataset, profile="as-is"))

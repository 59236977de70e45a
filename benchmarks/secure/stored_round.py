"""One secure round of many devices at a coordinator in this process, and copies of all that it stores.

The coordinator is the product's, with SQLite, files and a log in a folder; devices train as devices do and speak its
HTTP. Its summing is put off until everything is there at once: every masked update, and every share that was revealed.
"""

import hashlib
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.leakage import fleet
from benchmarks.leakage.fleet import CLASSES, Model, Observed
from fedrela.coordinator.context import Retry
from fedrela.coordinator.monitoring.logs import JsonLines
from fedrela.coordinator.secure import summing
from fedrela.core.privacy import Privacy
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.core.tensors import Params
from fedrela.edge.training.examples import Examples
from fedrela.emulator.data import datasets
from tests.coordinator.conftest import House, house_with, settings_for
from tests.coordinator.secure.players import Player, at_work, bound, mean_of, play, ticking

GROUP = 16
ALPHA = 0.1  # of the Dirichlet distribution that a device's classes are drawn from
SAMPLES = (20, 40)  # of a device, from and to
LOST_SHARE = 0.04  # of the devices, after they shared and before they send their update
DEADLINE_SECONDS = 20_000.0  # of the coordinator's clock, which moves only where everybody waits


@dataclass(frozen=True)
class Stored:
    """A round that has run. `full`: the data folder with everything in it; `after`: once the round was committed.

    `changes`: what each device hid, by device from 0; `players`: the devices, numbered from 1.
    """

    observed: Observed
    changes: tuple[Params, ...]
    players: tuple[Player, ...]
    full: Path
    after: Path


def task_of(devices: int, seed: int) -> Task:
    """One round of all of them, in groups of 16."""
    return Task(
        "secure-attacks",
        rounds=1,
        seed=seed,
        local=LocalTraining(hyperparameters={"lr": 0.05, "momentum": 0.9}),
        relabel=Relabel(enabled=False),
        round=Rounds(goal=devices, minimum=devices // 2, deadline_seconds=DEADLINE_SECONDS),
        aggregation=Aggregation(weight_by_examples=False),
        privacy=Privacy("peers", group_target=GROUP, group_minimum=GROUP),
    )


def run(folder: Path, devices: int, seed: int, say: Callable[[str], None]) -> Stored:
    """Train, run the round, and keep its folder as it was at its fullest and at its end."""
    model, task = fleet.export(folder / "bundle"), task_of(devices, seed)
    observed, changes = _trained(model, task, devices, seed)
    say(f"{devices} devices have trained")
    rng = np.random.default_rng([seed, 61])
    lost = {int(number): "mask" for number in 1 + rng.choice(devices, round(LOST_SHARE * devices), replace=False)}
    data = folder / "data"
    with _house(data, folder / "bundle") as house:
        task_id = house.operator.publish(folder / "bundle", task)
        players = at_work(house.devices(devices), house.operator)
        for player, change in zip(players, changes, strict=True):
            player.change = change
        put_off = (task_id, summing.FAILED)
        house.coordinator.retries[put_off] = Retry(math.inf, 1)
        play(players, lost=lost, pass_time=ticking(house))
        full = _copied(data, folder / "full")
        del house.coordinator.retries[put_off]
        house.clock(DEADLINE_SECONDS / 2)  # now all groups are summed
        house.clock(2 * DEADLINE_SECONDS)
        after = _copied(data, folder / "after")
        summed = [player for player in players if player.body]
        _check(house, task_id, model.weights, summed)
    say(f"{len(summed)} of them are in the sums of {devices // GROUP} groups")
    return Stored(observed, changes, tuple(players), full, after)


def _trained(model: Model, task: Task, devices: int, seed: int) -> tuple[Observed, tuple[Params, ...]]:
    dataset = datasets.load("digits", test_per_class=40, seed=seed)
    rng = np.random.default_rng([seed, 60])
    held = []
    by_class = [np.flatnonzero(dataset.y == label) for label in range(CLASSES)]
    for _ in range(devices):
        labels = rng.choice(CLASSES, rng.integers(*SAMPLES), p=rng.dirichlet(np.full(CLASSES, ALPHA)))
        rows: NDArray[np.int64] = np.array([rng.choice(by_class[label]) for label in labels])
        held.append(Examples({model.input: dataset.x[rows]}, labels.astype(np.int64)))
    counts = np.array([np.bincount(examples.y, minlength=CLASSES) for examples in held])
    observed = Observed(model, task, seed, dataset, (model.weights,), {}, counts, {})
    changes = []
    for device, examples in enumerate(held):
        secret = hashlib.sha256(f"secure attacks {seed} {device}".encode()).digest()
        change = fleet.simulate(observed, 1, examples, secret)
        assert change is not None, "a device's training diverged"
        changes.append(change)
    return observed, tuple(changes)


@contextmanager
def _house(data: Path, bundle: Path) -> Iterator[House]:
    """The coordinator, which logs all that it would ever log into its folder."""
    data.mkdir()
    handler, logger = logging.FileHandler(data / "coordinator.log"), logging.getLogger("fedrela")
    handler.setFormatter(JsonLines())
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        with house_with(settings_for(data), bundle) as house:
            yield house
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()


def _copied(data: Path, to: Path) -> Path:
    shutil.copytree(data, to)
    return to


def _check(house: House, task_id: str, start: Params, summed: Sequence[Player]) -> None:
    """The round gave the mean of what was hidden: it was a whole one."""
    (round_,) = house.operator.rounds(task_id)
    assert (round_["phase"], round_["updates"]) == ("committed", len(summed)), round_
    weights = house.operator.weights(round_["checkpoint_sha256"])
    for name, mean in mean_of(summed).items():
        assert np.abs(weights[name] - start[name] - mean).max() <= bound(summed), name

"""Which examples each device of a scenario holds. The same scenario gives the same shards in every process.

>>> from fedrela.emulator.data import datasets

>>> from fedrela.emulator import scenario
>>> twelve = scenario.from_toml('name = "twelve"\\ndevices = 12')
>>> shards = deal(twelve, datasets.load("digits", test_per_class=40, seed=0))
>>> sum(len(shards.indices(device)) for device in range(12)) == int(shards.class_counts.sum())
True
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedrela.core.data import partition
from fedrela.core.errors import InvalidInput
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.scenario import Scenario


@dataclass(frozen=True)
class Shards:
    """The long-tailed pool (indices into the dataset's training part) and what each device has of it."""

    scenario: Scenario
    labels: NDArray[np.int64]  # of the whole training part
    pool: NDArray[np.int64]
    class_counts: NDArray[np.int64]  # of the pool, (classes,): emulation knows it, no device or coordinator does
    dealt: tuple[NDArray[np.int64], ...]  # per device, if every sample has one owner; empty if devices draw

    @cached_property
    def members(self) -> tuple[NDArray[np.int64], ...]:
        """The pool by class."""
        labels = self.labels[self.pool]
        return tuple(self.pool[labels == label] for label in range(len(self.class_counts)))

    def indices(self, device: int) -> NDArray[np.int64]:
        """Indices into the dataset's training part, in the order of the device's storage."""
        if self.dealt:
            return self.dealt[device]
        return _draw(self, device)


def deal(scenario: Scenario, dataset: Dataset) -> Shards:
    """Make the pool long-tailed and spread it. Raises InvalidInput if there are more devices than samples."""
    data = scenario.data
    rng = np.random.default_rng([scenario.seed, 1])
    pool = partition.take_profile(dataset.y, _profile(scenario, dataset), rng)
    labels = dataset.y[pool]
    counts = np.bincount(labels, minlength=dataset.classes)
    dealt: list[NDArray[np.int64]] = []
    if not data.samples_per_device:
        dealt = [pool[own] for own in _split(scenario, labels, rng)]
    return Shards(scenario, dataset.y, pool, counts, tuple(dealt))


def used(dealt: Shards, dataset: Dataset, key: str = "data.profile") -> str:
    """How many of how many samples a fleet trains on, per class: a profile (set by `key`) may leave most out."""
    data = dealt.scenario.data
    available = np.bincount(dataset.y, minlength=dataset.classes)
    of_class = ", ".join(f"{mine} of {all_}" for mine, all_ in zip(dealt.class_counts, available, strict=True))
    line = f"data: {len(dealt.pool)} of {len(dataset.y)} samples are used; by class {of_class}"
    if len(dealt.pool) < len(dataset.y):
        line += f'. {key} is "{data.profile}"; "as-is" uses all'
    if data.samples_per_device:
        line += f". Each device draws {data.samples_per_device} of them"
    return f"{line}. To evaluate: {len(dataset.y_test)}"


def _profile(scenario: Scenario, dataset: Dataset) -> NDArray[np.int64]:
    data = scenario.data
    available = np.bincount(dataset.y, minlength=dataset.classes)
    if data.profile == "as-is":
        return available.astype(np.int64)
    profile = partition.exponential_profile if data.profile == "exponential" else partition.step_profile
    largest = data.largest or int(available.min())
    return profile(classes=dataset.classes, largest=largest, imbalance=data.imbalance)


def _split(scenario: Scenario, labels: NDArray[np.int64], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    data, devices = scenario.data, scenario.devices
    if data.split == "dirichlet":
        return partition.dirichlet_split(labels, devices=devices, alpha=data.alpha, rng=rng)
    if devices > len(labels):
        raise InvalidInput(f"{len(labels)} samples for {devices} devices", remedy="set data.samples_per_device")
    if data.split == "iid":
        return [np.sort(part) for part in np.array_split(rng.permutation(len(labels)), devices)]
    # Sorted by class and cut into devices * classes_per_device runs, of which each device gets its number at random
    # (McMahan et al. 2017, section 3).
    order = np.argsort(labels, kind="stable")
    runs = np.array_split(order, devices * data.classes_per_device)
    owner = rng.permutation(len(runs)).reshape(devices, data.classes_per_device)
    return [np.sort(np.concatenate([runs[run] for run in own])) for own in owner]


def _draw(shards: Shards, device: int) -> NDArray[np.int64]:
    """`samples_per_device` draws with replacement, by class shares of this device's own."""
    data = shards.scenario.data
    rng = np.random.default_rng([shards.scenario.seed, 2, device])
    shares = shards.class_counts / shards.class_counts.sum()
    if data.split == "dirichlet":
        # Dirichlet with the pool's shares as its mean: the fleet as a whole keeps the long tail (Hsu et al. 2019).
        shares = rng.dirichlet(np.maximum(shares * len(shares) * data.alpha, 1e-3))
    elif data.split == "classes":
        held = rng.choice(len(shares), size=min(data.classes_per_device, len(shares)), replace=False, p=shares)
        mask = np.zeros(len(shares))
        mask[held] = 1
        shares = shares * mask / (shares * mask).sum()
    drawn = rng.choice(len(shares), size=data.samples_per_device, p=shares)
    members = [shards.members[label] for label in drawn]
    return np.array([own[rng.integers(0, len(own))] for own in members], np.int64)

"""Long-tailed class profiles, Dirichlet splits over devices, and accuracy by class frequency.

Randomness comes in as a `numpy.random.Generator`.

    >>> exponential_profile(classes=4, largest=100, imbalance=100).tolist()
    [100, 21, 4, 1]
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidInput

Counts = NDArray[np.int64]


def exponential_profile(*, classes: int, largest: int, imbalance: float) -> Counts:
    """Samples per class, (classes,): largest * imbalance ** (-c / (classes - 1)), at least 1.

    Source: Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019, as used for CIFAR-LT.
    """
    _check_profile(classes, largest, imbalance)
    exponents = -np.arange(classes) / (classes - 1)
    return np.maximum(np.floor(largest * imbalance**exponents + 1e-9), 1).astype(np.int64)


def step_profile(*, classes: int, largest: int, imbalance: float) -> Counts:
    """Samples per class, (classes,): the first half has `largest`, the second largest / imbalance, at least 1."""
    _check_profile(classes, largest, imbalance)
    tail = max(int(largest / imbalance), 1)
    return np.where(np.arange(classes) < (classes + 1) // 2, largest, tail).astype(np.int64)


def take_profile(labels: NDArray[np.integer], counts: Counts, rng: np.random.Generator) -> NDArray[np.int64]:
    """Indices of a random subset that holds counts[c] samples of class c (or all, where there are fewer)."""
    chosen = [rng.permutation(np.flatnonzero(labels == label))[: int(count)] for label, count in enumerate(counts)]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def dirichlet_split(
    labels: NDArray[np.integer], *, devices: int, alpha: float, rng: np.random.Generator, minimum: int = 1
) -> list[NDArray[np.int64]]:
    """Indices per device: each class is dealt out by its own Dirichlet(alpha) shares.

    Source: Hsu, Qi, Brown 2019. A device left with fewer than `minimum` samples takes them one by one from the
    largest device, so that every sample still has exactly one owner. Raises InvalidInput if there are too few.
    """
    if not alpha > 0:
        raise InvalidInput(f"alpha is {alpha}", remedy="use a positive number; smaller is more skewed")
    if devices < 1 or devices * minimum > len(labels):
        raise InvalidInput(
            f"{len(labels)} samples can't give {devices} devices {minimum} each", remedy="use fewer devices"
        )
    owned: list[list[int]] = [[] for _ in range(devices)]
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.floor(np.cumsum(rng.dirichlet([alpha] * devices))[:-1] * len(members) + 0.5).astype(np.int64)
        for device, part in zip(owned, np.split(members, cuts), strict=True):
            device.extend(part.tolist())
    for device in owned:
        while len(device) < minimum:
            device.append(max(owned, key=len).pop())
    return [np.sort(np.array(device, np.int64)) for device in owned]


@dataclass(frozen=True)
class Accuracy:
    """Shares in 0..1. A group without classes, or a class without test samples, is NaN."""

    overall: float
    many: float
    medium: float
    few: float
    balanced: float  # mean of the per-class recalls
    per_class: tuple[float, ...]


def accuracy(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], groups: tuple[tuple[int, ...], ...], classes: int
) -> Accuracy:
    """Accuracy overall, of the (many, medium, few) `groups` of classes, and per class; predicted, labels (n,)."""
    right = predicted == labels
    recalls = np.array([_mean(right[labels == label]) for label in range(classes)])
    many, medium, few = (_mean(right[np.isin(labels, group)]) for group in groups)
    present = recalls[~np.isnan(recalls)]
    return Accuracy(_mean(right), many, medium, few, _mean(present), tuple(recalls.tolist()))


def frequency_groups(counts: Counts) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Classes by falling frequency in three groups: the first 30 %, the middle, the last 30 % (3, 4, 3 of ten)."""
    order = np.argsort(-counts, kind="stable")
    third = max(round(0.3 * len(order)), 1)
    many, medium, few = order[:third], order[third : len(order) - third], order[len(order) - third :]
    return tuple(map(int, many)), tuple(map(int, medium)), tuple(map(int, few))


def _mean(values: NDArray[np.generic]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _check_profile(classes: int, largest: int, imbalance: float) -> None:
    if classes < 2:
        raise InvalidInput(f"{classes} classes", remedy="use at least 2")
    if largest < 1:
        raise InvalidInput(f"the largest class has {largest} samples", remedy="use at least 1")
    if not imbalance >= 1:
        raise InvalidInput(f"the imbalance is {imbalance}", remedy="use 1 (balanced) or more")

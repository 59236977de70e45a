"""What is measured of one model, and of one re-labeling.

>>> q = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
>>> measure(q, np.array([0, 1, 1]), groups=((0,), (), (1,))).per_class
(1.0, 0.5)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core.data import partition
from fedrela.core.errors import InvalidInput

ECE_BINS = 15
GROUPS = ("many", "medium", "few")


@dataclass(frozen=True)
class Measured:
    """Of one model on a test set. Shares in 0..1; a group without test samples is NaN."""

    overall: float
    many: float
    medium: float
    few: float
    balanced: float  # mean recall
    worst: float  # lowest recall
    macro_f1: float
    ece: float  # expected calibration error, 15 equal bins
    nll: float  # mean negative log likelihood, natural logarithm
    per_class: tuple[float, ...]  # recalls


def measure(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], groups: tuple[tuple[int, ...], ...]
) -> Measured:
    """probabilities (n, C), labels (n,), groups = the classes of (many, medium, few)."""
    classes = probabilities.shape[1]
    if len(labels) == 0:
        raise InvalidInput("there is no test sample", remedy="give the dataset a test part")
    predicted = probabilities.argmax(axis=1)
    accuracy = partition.accuracy(predicted, labels, groups, classes)
    recalls = np.array(accuracy.per_class)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Measured(
        overall=accuracy.overall,
        many=accuracy.many,
        medium=accuracy.medium,
        few=accuracy.few,
        balanced=accuracy.balanced,
        worst=float(np.nanmin(recalls)),
        macro_f1=macro_f1(predicted, labels, classes),
        ece=calibration_error(probabilities, labels),
        nll=float(-np.log(np.maximum(own, 1e-12)).mean()),
        per_class=accuracy.per_class,
    )


def macro_f1(predicted: NDArray[np.integer], labels: NDArray[np.integer], classes: int) -> float:
    """Mean over the classes that occur in `labels` or `predicted` of 2 TP / (2 TP + FP + FN)."""
    scores = []
    for label in range(classes):
        claimed, true = predicted == label, labels == label
        if claimed.any() or true.any():
            scores.append(2 * (claimed & true).sum() / (claimed.sum() + true.sum()))
    return float(np.mean(scores))


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = ECE_BINS) -> float:
    """Expected calibration error (Guo et al., ICML 2017): mean gap of confidence and accuracy over equal bins."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    slots = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(slots, minlength=bins)
    gaps = np.bincount(slots, confidence - right, minlength=bins)
    return float(np.abs(gaps[counts > 0]).sum() / len(labels))


def by_owner(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], owners: NDArray[np.integer]
) -> list[dict[str, Any]]:
    """Of each owner of test samples (n,): how many samples of each class it has, and how many were told right."""
    classes = probabilities.shape[1]
    right = probabilities.argmax(axis=1) == labels
    return [
        {
            "owner": int(owner),
            "samples": np.bincount(labels[owners == owner], minlength=classes).tolist(),
            "right": np.bincount(labels[(owners == owner) & right], minlength=classes).tolist(),
        }
        for owner in np.unique(owners)
    ]


@dataclass(frozen=True)
class Moved:
    """Which way labels moved, over all devices. A study knows every sample and every count; no deployment does."""

    samples: int
    relabeled: int
    to_rarer: int  # the new class is rarer over all devices than the old one
    matrix: tuple[tuple[int, ...], ...]  # (C, C): from the row's class to the column's

    def between(self, sources: tuple[int, ...], targets: tuple[int, ...]) -> int:
        """How many moved from classes in `sources` to classes in `targets`."""
        return sum(self.matrix[source][target] for source in sources for target in targets if source != target)


def moved(old: NDArray[np.integer], new: NDArray[np.integer], global_counts: NDArray[np.integer]) -> Moved:
    """old and new labels (n,) of all devices' samples, global_counts (C,)."""
    classes = len(global_counts)
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (old, new), 1)
    changed = old != new
    rarer = changed & (global_counts[new] < global_counts[old])
    return Moved(len(old), int(changed.sum()), int(rarer.sum()), tuple(map(tuple, matrix.tolist())))

"""How good a guess of a class histogram is, and how good a guess is that has seen no update.

cosine       between guessed and true shares
tvd          total variation distance: half the sum of absolute differences; 0 is right
dominant     how often the guess's largest class is the device's
presence     how often it is right that a device has a class or has it not, over all devices and classes
auc          area under the ROC curve of the same question: 0.5 is a coin
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

Shares = NDArray[np.float64]

HIGHER_IS_BETTER = {"cosine": True, "tvd": False, "dominant": True, "presence": True, "auc": True}
Scores = dict[str, float]


@dataclass(frozen=True)
class Guess:
    """Guessed shares of the classes, a score for the presence of each, and which are said to be there; all (C,)."""

    shares: Shares
    score: NDArray[np.float64]
    present: NDArray[np.bool_]


def normalized(values: NDArray[np.floating]) -> Shares:
    """What is positive of `values`, summing to 1; where nothing is, all classes alike."""
    positive = np.maximum(np.asarray(values, np.float64), 0)
    return positive / positive.sum() if positive.sum() > 0 else np.full(len(positive), 1 / len(positive))


def by_share(shares: Shares, samples: float) -> Guess:
    """A class is there that would have half a sample or more."""
    return Guess(shares, shares, shares >= 0.5 / max(samples, 1))


def by_sign(values: NDArray[np.floating]) -> Guess:
    """A class is there whose value is positive."""
    values = np.asarray(values, np.float64)
    return Guess(normalized(values), values, values > 0)


def judge(guesses: Sequence[Guess], truths: Sequence[Shares]) -> Scores:
    """Means over devices, and presence over all pairs of a device and a class. `auc` is NaN where all are present."""
    rows = [
        (_cosine(guess.shares, truth), _tvd(guess.shares, truth), float(guess.shares.argmax() == truth.argmax()))
        for guess, truth in zip(guesses, truths, strict=True)
    ]
    cosine, tvd, dominant = np.mean(rows, axis=0)
    present = np.concatenate([truth > 0 for truth in truths])
    guessed = np.concatenate([guess.present for guess in guesses])
    score = np.concatenate([guess.score for guess in guesses])
    return {
        "cosine": float(cosine),
        "tvd": float(tvd),
        "dominant": float(dominant),
        "presence": float((guessed == present).mean()),
        "auc": float(roc_auc_score(present, score)) if 0 < present.mean() < 1 else float("nan"),
    }


def mean(scores: Sequence[Scores]) -> Scores:
    """Measure by measure."""
    return {name: float(np.mean([one[name] for one in scores])) for name in scores[0]}


def best(scores: Sequence[Scores]) -> Scores:
    """The best of several attacks by each measure: whoever attacks chooses. What is NaN of one is NaN of all."""
    return {
        name: float((np.max if higher else np.min)([one[name] for one in scores]))
        for name, higher in HIGHER_IS_BETTER.items()
    }


def chance(counts: NDArray[np.int64]) -> dict[str, Scores]:
    """Guesses without an update, about each of the devices (devices, C): all classes alike; the fleet's distribution;
    that nothing is there but the fleet's commonest class.
    """
    fleet = counts.sum(0) / counts.sum()
    truths = [own / own.sum() for own in counts]
    blind = {"all classes alike": np.full(counts.shape[1], 1 / counts.shape[1]), "the fleet's distribution": fleet}
    scores = {name: judge([by_share(shares, own.sum()) for own in counts], truths) for name, shares in blind.items()}
    absent = Guess(fleet, fleet, np.zeros(counts.shape[1], bool))
    return {**scores, "no class is there": judge([absent] * len(counts), truths)}


def _cosine(left: Shares, right: Shares) -> float:
    return float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right) + 1e-12))


def _tvd(left: Shares, right: Shares) -> float:
    return float(np.abs(left - right).sum() / 2)

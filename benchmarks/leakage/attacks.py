"""Published ways to read a class histogram from an update, given the weights that it started from.

bias     size of the last layer's bias change where it grew (Wang et al., "Beyond Inferring Class Representatives",
         INFOCOM 2019)
rows     row sums of the last layer's weight change (LLG: Wainakh et al., "User-Level Label Leakage from Gradients in
         Federated Learning", PETS 2022)
ilrg     class embeddings are row change over bias change; the head's own confusion of them, then non-negative least
         squares for the shares (iLRG: Ma et al., "Instance-wise Batch Label Restoration via Gradients", ICLR 2023)
noise    what the updated model predicts on average on random pixels: no data of any kind is needed
images   the same on pictures that the attacker has
shadow   a regression trained on devices that the attacker simulates with its pictures: `shadow.py` (LDIA: Gu and
         Bai, "LDIA: Label Distribution Inference Attack against Federated Learning", 2023)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks.leakage.fleet import CLASSES, Observed
from benchmarks.leakage.measures import Guess, Shares, by_share, by_sign, normalized
from fedrela.core import tensors
from fedrela.core.tensors import Params

_SUM_WEIGHT = 10.0  # how heavily least squares takes it that shares sum to 1


@dataclass(frozen=True)
class Seen:
    """An update as an attacker has it: from which round, the decoded change, and how many samples it says."""

    round: int
    change: Params
    samples: float


@dataclass(frozen=True)
class Attacker:
    """Who knows the run, has some pictures of each class, and random pixels. `rows`: its pictures, by class."""

    observed: Observed
    rows: tuple[NDArray[np.int64], ...]
    pixels: NDArray[np.uint8]

    @property
    def pictures(self) -> NDArray[np.uint8]:
        """All its pictures."""
        return self.observed.dataset.x_test[np.concatenate(self.rows)]

    def base(self, number: int) -> Params:
        """The weights that updates of a round start from."""
        return self.observed.checkpoints[number - 1]

    def head(self, params: Params) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weight (C, h) and bias (C,) of the last layer."""
        weight = [array for array in params.values() if array.ndim == 2 and len(array) == CLASSES][-1]
        bias = [array for array in params.values() if array.shape == (CLASSES,)][-1]
        return weight.astype(np.float64), bias.astype(np.float64)


def attacker(observed: Observed) -> tuple[Attacker, tuple[NDArray[np.int64], ...]]:
    """One that holds half of the balanced test set, and the other half, by class: for devices it has never seen."""
    rng = np.random.default_rng([observed.seed, 5])
    test = observed.dataset
    pixels = rng.integers(0, 256, (256, *test.x_test.shape[1:]), dtype=np.uint8)
    by_class = [rng.permutation(np.flatnonzero(test.y_test == label)) for label in range(CLASSES)]
    mine = tuple(rows[: len(rows) // 2] for rows in by_class)
    others = tuple(rows[len(rows) // 2 :] for rows in by_class)
    return Attacker(observed, mine, pixels), others


def bias(who: Attacker, seen: Seen) -> Guess:
    """See above."""
    return by_sign(who.head(seen.change)[1])


def rows(who: Attacker, seen: Seen) -> Guess:
    """See above."""
    return by_sign(who.head(seen.change)[0].sum(1))


def ilrg(who: Attacker, seen: Seen) -> Guess:
    """See above."""
    return by_share(ilrg_shares(who, seen), seen.samples)


def noise(who: Attacker, seen: Seen) -> Guess:
    """See above."""
    return by_share(mean_prediction(who, seen, who.pixels), seen.samples)


def images(who: Attacker, seen: Seen) -> Guess:
    """See above."""
    return by_share(mean_prediction(who, seen, who.pictures), seen.samples)


DIRECT: dict[str, Callable[[Attacker, Seen], Guess]] = {
    "bias": bias,
    "rows": rows,
    "ilrg": ilrg,
    "noise": noise,
    "images": images,
}


def mean_prediction(who: Attacker, seen: Seen, x: NDArray[np.uint8]) -> Shares:
    """The updated model's mean probabilities, (C,)."""
    updated = tensors.add(who.base(seen.round), seen.change)
    return normalized(who.observed.model.predict(updated, x).mean(0))


def ilrg_shares(who: Attacker, seen: Seen) -> Shares:
    """Shares p >= 0 with sum 1 for which kappa * bias change = (I - P^T) p, in the sense of least squares.

    P[c] is what the model half-way between before and after says of class c's embedding.
    """
    weight_change, bias_change = who.head(seen.change)
    weight, offset = who.head(who.base(seen.round))
    weight, offset = weight + weight_change / 2, offset + bias_change / 2
    everywhere = np.abs(weight_change).sum(0) / max(np.abs(bias_change).sum(), 1e-8)
    confusion = np.empty((CLASSES, CLASSES))
    for label in range(CLASSES):
        grew = bias_change[label] > 1e-8
        embedding = weight_change[label] / bias_change[label] if grew else everywhere
        logits = weight @ embedding + offset
        exponentials = np.exp(logits - logits.max())
        confusion[label] = exponentials / exponentials.sum()
    scaled = -(bias_change / (np.abs(bias_change).max() + 1e-12))[:, None]
    system = np.hstack([np.eye(CLASSES) - confusion.T, scaled])
    total = _SUM_WEIGHT * np.append(np.ones(CLASSES), 0.0)[None]
    try:
        solution, _ = nnls(np.vstack([system, total]), np.append(np.zeros(CLASSES), _SUM_WEIGHT), maxiter=2000)
    except RuntimeError:  # it doesn't converge
        return normalized(bias_change)
    return normalized(solution[:CLASSES])

"""FedReLa's re-labeling in numpy: the specification that every exported `relabel` program must equal.

Source: Hu, Menéndez, Liu, Gong, Wang, Peng, "FedReLa: Imbalanced Federated Learning via Re-Labeling", ICML 2026, arXiv
2606.26037.

A device looks at its own samples with the global model's eyes. A head-class sample whose predicted probability for a
locally rarer class is unusually high *among the samples of its own label* may be given that rarer label:

    w_c   = 1 - (n_c - min n) / (max n - min n)          prior weight from local counts; all ones if counts are equal
    z_ij  = (q_ij - mean_{y_i, j}) / std_{y_i, j}         how unusual is q_i among the samples that share its label
    t_j   = the (n-1-m)-th smallest of z_.j               m = floor(threshold_percent / 100 * n), clipped to 0..n-1
    rho_ij = tanh(z_ij - t_j) * max(w_j - w_{y_i}, 0)     flip rate, only ever towards a rarer class
    new y_i = the j with the largest rho_ij among those where rho_ij > u_ij; y_i if there is none

    >>> import numpy as np
    >>> q = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]], np.float32)
    >>> relabel(q, np.array([0, 0, 0]), np.zeros((3, 2), np.float32), threshold_percent=50).labels
    array([0, 0, 1])
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidInput

STD_FLOOR = 1e-6


@dataclass(frozen=True)
class Relabeling:
    """The new labels and every intermediate of the algorithm, for n samples and C classes; float64 but for labels."""

    labels: NDArray[np.int64]  # (n,)
    flip_rate: NDArray[np.float64]  # (n,) of the class chosen; 0 where the label stayed
    priors: NDArray[np.float64]  # (C,) w
    mean: NDArray[np.float64]  # (C, C) row c: over the samples labeled c; NaN where c is absent
    std: NDArray[np.float64]  # (C, C) likewise, population standard deviation, at least STD_FLOOR
    z: NDArray[np.float64]  # (n, C)
    threshold: NDArray[np.float64]  # (C,) t
    flip_rates: NDArray[np.float64]  # (n, C) rho


def relabel(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    uniforms: NDArray[np.floating],
    *,
    threshold_percent: float,
    priors: NDArray[np.float64] | None = None,
) -> Relabeling:
    """Re-label the samples of one device.

    probabilities (n, C) of the global model; labels (n,) in 0..C-1; uniforms (n, C) in [0, 1); n >= 1; priors (C,) in
    0..1 where others than the device's own are asked for. Raises InvalidInput for anything else.
    """
    _check(probabilities, labels, uniforms, threshold_percent)
    q = probabilities.astype(np.float64)
    n, classes = q.shape
    counts = np.bincount(labels, minlength=classes)
    priors = prior_weights(counts) if priors is None else priors
    if priors.shape != (classes,):
        raise InvalidInput(f"priors have shape {priors.shape}", remedy=f"pass a weight for each of {classes} classes")
    mean, std = _class_statistics(q, labels, counts)
    z = (q - mean[labels]) / std[labels]
    surplus = min(max(int(np.floor(threshold_percent / 100 * n)), 0), n - 1)
    threshold = np.sort(z, axis=0)[n - 1 - surplus]
    flip_rates = np.tanh(z - threshold) * np.maximum(priors - priors[labels][:, None], 0)
    candidates = np.where(flip_rates > uniforms, flip_rates, -np.inf)
    best = candidates.argmax(axis=1)  # the lowest class on a tie
    flipped = np.isfinite(candidates[np.arange(n), best])
    return Relabeling(
        labels=np.where(flipped, best, labels).astype(np.int64),
        flip_rate=np.where(flipped, flip_rates[np.arange(n), best], 0.0),
        priors=priors,
        mean=mean,
        std=std,
        z=z,
        threshold=threshold,
        flip_rates=flip_rates,
    )


def prior_weights(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    """w: 1 for the rarest local class, 0 for the commonest, linear between; all ones if every count is equal."""
    lowest, highest = int(counts.min()), int(counts.max())
    if lowest == highest:
        return np.ones(len(counts))
    return 1.0 - (counts - lowest) / (highest - lowest)


def _class_statistics(
    q: NDArray[np.float64], labels: NDArray[np.integer], counts: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population standard deviation of q over the samples of each label, both (C, C)."""
    classes = q.shape[1]
    mean = np.full((classes, classes), np.nan)
    std = np.full((classes, classes), np.nan)
    for label in np.flatnonzero(counts):
        own = q[labels == label]
        mean[label] = own.mean(axis=0)
        std[label] = np.maximum(own.std(axis=0), STD_FLOOR)
    return mean, std


def _check(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    uniforms: NDArray[np.floating],
    threshold_percent: float,
) -> None:
    if probabilities.ndim != 2 or 0 in probabilities.shape:
        raise InvalidInput(
            f"probabilities have shape {probabilities.shape}", remedy="pass (n, C) with n >= 1 and C >= 1"
        )
    n, classes = probabilities.shape
    if not np.isfinite(probabilities).all():
        raise InvalidInput("a probability is not finite", remedy="check the model's weights and the input scaling")
    if labels.shape != (n,) or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(
            f"labels have shape {labels.shape} and dtype {labels.dtype}", remedy=f"pass {n} integer labels"
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InvalidInput(
            f"a label is outside 0..{classes - 1}", remedy="check the class order and the number of classes"
        )
    if uniforms.shape != (n, classes):
        raise InvalidInput(f"uniforms have shape {uniforms.shape}", remedy=f"pass ({n}, {classes}) numbers in [0, 1)")
    if not 0 <= threshold_percent <= 100:
        raise InvalidInput(f"threshold_percent is {threshold_percent}", remedy="choose a number from 0 to 100")

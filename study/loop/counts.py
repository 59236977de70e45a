"""The fleet's class counts as a server could learn them: with noise that hides whether any one device took part.

Dwork et al., TCC 2006: a device gives the shares of its classes, which sum to 1, so that with or without it the sum
moves by at most 1 in the L1 norm; Laplace noise of scale 1 / epsilon on each class makes the sum epsilon-private.
Shares weigh every device alike, whatever it holds, which plain counts don't.

>>> noisy(np.array([[90, 10], [0, 5]]), 1e6, np.random.default_rng(1)).round(3).tolist()
[0.9, 1.1]
"""

import numpy as np
from numpy.typing import NDArray

_LEAST = 0.01  # of a device: a class has a logarithm, whatever the noise took from it


def noisy(counts: NDArray[np.integer], epsilon: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """What stands for the counts of the classes (C,), from those of each device (devices, C)."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.maximum(shares.sum(axis=0) + rng.laplace(0.0, 1 / epsilon, counts.shape[1]), _LEAST))

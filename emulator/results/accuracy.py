"""Accuracy of a global model on the balanced test set, by the exported `predict` program.

May import numpy, `fedrela.edge.engines.engine` and `core`.

    result = evaluate(engine, weights, x_test, y_test, groups)
"""

import numpy as np
from numpy.typing import NDArray

from fedrela.core import partition
from fedrela.core.partition import Accuracy
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.engine import Engine

_BATCH = 256
_NEUTRAL = np.float32(0.5)  # the uniform at which an augmentation leaves the example as it is: no flip, centre crop


def evaluate(
    engine: Engine, weights: Params, x: Array, y: NDArray[np.int64], groups: tuple[tuple[int, ...], ...]
) -> tuple[Accuracy, float]:
    """Accuracy and mean negative log likelihood (natural logarithm) of `weights` on x (n, ...), y (n,)."""
    manifest = engine.manifest
    probabilities = []
    for start in range(0, len(y), _BATCH):
        rows = x[start : start + _BATCH]
        randoms = {
            item.name: np.full(tuple(len(rows) if isinstance(d, str) else d for d in item.shape), _NEUTRAL, np.float32)
            for item in manifest.predict.role("random")
        }
        probabilities.append(engine.predict(weights, {manifest.x[0].name: rows}, randoms))
    q = np.concatenate(probabilities)
    loss = float(-np.log(np.maximum(q[np.arange(len(y)), y].astype(np.float64), 1e-12)).mean())
    return partition.accuracy(q.argmax(axis=1), y, groups, manifest.classes), loss

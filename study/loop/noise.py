"""What differential privacy would do to a round: changes clipped, weighed alike, and Gaussian noise on their sum.

McMahan et al., "Learning Differentially Private Recurrent Language Models", ICLR 2018. The bound is the median norm of
the round before, of the first round its own: a release of that median would cost budget too, which is not counted, and
no epsilon is claimed here.
"""

from collections.abc import Sequence

import numpy as np

from fedrela.core import tensors
from fedrela.core.tensors import Params


def mean(
    changes: Sequence[Params], parameters: frozenset[str], clip: float, multiplier: float, rng: np.random.Generator
) -> Params:
    """The mean of m changes whose parameters are clipped to the norm `clip`, with noise multiplier * clip / m.

    What is no parameter is averaged as it is.
    """
    clipped = [_clipped(change, parameters, clip) for change in changes]
    deviation = multiplier * clip / len(changes)
    result: Params = {}
    for name in changes[0]:
        average = np.asarray(np.mean([change[name] for change in clipped], axis=0, dtype=np.float64))
        if name in parameters:
            average = average + rng.normal(0.0, deviation, average.shape)
        result[name] = average.astype(np.float32)
    return result


def median_norm(changes: Sequence[Params], parameters: frozenset[str]) -> float:
    """Of the changes' parameters."""
    return float(np.median([_norm(change, parameters) for change in changes]))


def _clipped(change: Params, parameters: frozenset[str], clip: float) -> Params:
    norm = _norm(change, parameters)
    factor = np.float32(clip / norm if norm > clip else 1.0)
    return {name: array * factor if name in parameters else array for name, array in change.items()}


def _norm(change: Params, parameters: frozenset[str]) -> float:
    return tensors.l2_norm({name: array for name, array in change.items() if name in parameters})

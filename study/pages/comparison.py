"""Means over seeds, and differences of paired runs with a confidence interval.

>>> difference = paired([0.40, 0.44, 0.48], [0.45, 0.50, 0.52])
>>> round(difference.mean, 3), round(difference.low, 3), round(difference.high, 3)
(0.05, 0.025, 0.075)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from fedrela.core.errors import InvalidInput


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1); the deviation of one value is NaN."""

    mean: float
    deviation: float
    count: int


@dataclass(frozen=True)
class Difference:
    """Mean of the paired differences (second minus first) and its confidence interval; of one pair it is NaN."""

    mean: float
    low: float
    high: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Raises InvalidInput if there is no value."""
    if not len(values):
        raise InvalidInput("there is no value to average", remedy="run at least one seed")
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)), deviation, len(values))


def paired(first: Sequence[float], second: Sequence[float], confidence: float = 0.95) -> Difference:
    """Student's t interval of the mean of second[i] - first[i], pair by pair (same seed, data and start weights)."""
    if len(first) != len(second) or not len(first):
        raise InvalidInput(f"{len(first)} values can't be paired with {len(second)}", remedy="pair the runs by seed")
    differences = spread(np.subtract(second, first).tolist())
    half = math.nan
    if differences.count > 1:
        quantile = float(stats.t.ppf(0.5 + confidence / 2, differences.count - 1))
        half = quantile * differences.deviation / math.sqrt(differences.count)
    return Difference(differences.mean, differences.mean - half, differences.mean + half, differences.count)

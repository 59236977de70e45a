"""Means over seeds, and differences of paired runs with a confidence interval.

>>> difference = paired([0.40, 0.44, 0.48], [0.45, 0.50, 0.52])
>>> round(difference.mean, 3), round(difference.low, 3), round(difference.high, 3)
(0.05, 0.025, 0.075)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from fedrela.core.errors import InvalidInput

_QUANTILES = 4000


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


def pool(differences: Sequence[Difference]) -> Difference:
    """The mean over settings of their mean differences, each with seeds of its own: an interval for these settings.

    The variances of the means add up; degrees of freedom by Welch and Satterthwaite. Those of one pair have no
    variance and are left out; without two pairs anywhere the interval is NaN.
    """
    several = [one for one in differences if one.count > 1]
    if not several:
        mean = spread([one.mean for one in differences]).mean
        return Difference(mean, math.nan, math.nan, len(differences))
    mean = spread([one.mean for one in several]).mean
    variances = [standard_error(one) ** 2 / len(several) ** 2 for one in several]
    total = sum(variances)
    if total == 0:
        return Difference(mean, mean, mean, len(several))
    freedom = total**2 / sum(part**2 / (one.count - 1) for part, one in zip(variances, several, strict=True))
    half = float(stats.t.ppf(0.975, freedom)) * math.sqrt(total)
    return Difference(mean, mean - half, mean + half, len(several))


def standard_error(difference: Difference) -> float:
    """Of the mean of a 95 % interval of several pairs."""
    return (difference.high - difference.mean) / float(stats.t.ppf(0.975, difference.count - 1))


def detectable(difference: Difference, power: float = 0.8) -> float:
    """The smallest true difference that as many pairs, spread as these are, would have shown with that probability.

    Shown: a 95 % interval that does not hold 0 (a two-sided t test of 5 %). NaN for one pair.
    """
    if difference.count < 2:
        return math.nan
    freedom, error = difference.count - 1, standard_error(difference)
    edge = float(stats.t.ppf(0.975, freedom))
    # The noncentral t distribution, averaged over the spreads that samples of this size show.
    edges = edge * np.sqrt(stats.chi2.ppf((np.arange(_QUANTILES) + 0.5) / _QUANTILES, freedom) / freedom)

    def short_of(shift: float) -> float:
        return float((stats.norm.sf(edges - shift) + stats.norm.cdf(-edges - shift)).mean()) - power

    return error * float(optimize.brentq(short_of, 0.0, 10 * edge)) if error else 0.0


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

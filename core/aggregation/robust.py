"""Aggregation that a minority of malicious updates can't steer: coordinate median, trimmed mean, multi-Krum, clipping.

The rules work on a stack: one update a row, shape (n, d) float32, an array in memory or a `numpy.memmap` on disk. They
read it in blocks of columns, so they hold O(d) plus a few blocks of `BLOCK_BYTES`, whatever n is. Every row counts the
same: a device's claimed number of examples is not trusted here.

Statistics (see `Manifest.statistics`) are aggregated by the same rule as everything else, since a plain mean would let
one device write into the model what it likes. Each coordinate of a median or a trimmed mean is one of its own, between
values that devices sent, so nothing is mixed. Multi-Krum compares updates by their parameters alone, next to which
variances are large, and takes the statistics of those that it chose.

    >>> stack = np.float32([[1, 1], [2, 2], [3, 900]])
    >>> median(stack), trimmed_mean(stack, 0.34)
    (array([2., 2.], dtype=float32), array([2., 2.], dtype=float32))
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidInput
from fedrela.core.task import Aggregation
from fedrela.core.tensors import Params, TensorSpec, l2_norm, scale

BLOCK_BYTES = 8 * 1024 * 1024

Stack = NDArray[np.float32]
Vector = NDArray[np.float32]


def aggregate(stack: Stack, settings: Aggregation, parameters: int | None = None) -> Vector:
    """The rule that a task names, (n, d) -> (d,). Raises InvalidInput for an empty stack or the plain mean.

    `parameters`: that many columns are parameters, those after them statistics; None: all are.
    """
    if settings.rule == "median":
        return median(stack)
    if settings.rule == "trimmed-mean":
        return trimmed_mean(stack, settings.trim_fraction)
    if settings.rule == "multi-krum":
        return multi_krum(stack, settings.byzantine_fraction, parameters)
    raise InvalidInput(f"{settings.rule!r} is no robust rule", remedy="use core.aggregation.aggregate for the mean")


def clip(update: Params, limit: float) -> Params:
    """`update`, shortened to the L2 norm `limit` if it is longer; a limit of 0 leaves it as it is."""
    norm = l2_norm(update) if limit > 0 else 0.0
    return scale(update, limit / norm) if norm > limit > 0 else update


def median(stack: Stack) -> Vector:
    """The median of each coordinate; for even n the mean of the middle two.

    Yin et al., "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates", ICML 2018, definition 1.
    """
    _require_rows(stack)
    result = np.empty(stack.shape[1], np.float32)
    for columns, block in _blocks(stack):
        result[columns] = np.median(block, axis=0)
    return result


def trimmed_mean(stack: Stack, fraction: float) -> Vector:
    """The mean of each coordinate without its floor(fraction * n) smallest and as many largest values.

    Yin et al. 2018, definition 2. `fraction` is in [0, 0.5), so at least one value stays.
    """
    n = _require_rows(stack)
    drop = int(fraction * n + 1e-9)
    result = np.empty(stack.shape[1], np.float32)
    for columns, block in _blocks(stack):
        kept = np.sort(block, axis=0)[drop : n - drop]
        result[columns] = kept.mean(axis=0, dtype=np.float64)
    return result


def multi_krum(stack: Stack, byzantine_fraction: float, parameters: int | None = None) -> Vector:
    """The mean of the n - f updates that lie closest to their neighbors, f = floor(byzantine_fraction * n).

    How close is a matter of the first `parameters` columns; None: of all.

    Blanchard et al., "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent", NeurIPS 2017: an
    update's score is the sum of squared distances to its n - f - 2 nearest others (at least one); equal scores go by
    row. The paper's guarantee needs n >= 2 f + 3; below that the rule still leaves the f farthest out.
    """
    chosen = krum_order(stack[:, :parameters], byzantine_fraction)
    result = np.empty(stack.shape[1], np.float32)
    for columns, block in _blocks(stack):
        result[columns] = block[np.sort(chosen)].mean(axis=0, dtype=np.float64)
    return result


def krum_order(stack: Stack, byzantine_fraction: float) -> NDArray[np.int64]:
    """The rows that multi-Krum keeps, best first."""
    n = _require_rows(stack)
    byzantine = int(byzantine_fraction * n + 1e-9)
    neighbors = max(n - byzantine - 2, 1)
    distances = _squared_distances(stack)
    np.fill_diagonal(distances, np.inf)
    scores = np.sort(distances, axis=1)[:, : min(neighbors, n - 1)].sum(axis=1)
    return np.argsort(scores, kind="stable")[: n - byzantine].astype(np.int64)


def flatten(update: Params, out: Vector) -> None:
    """Write the tensors of an update one after another into the row `out`."""
    start = 0
    for array in update.values():
        out[start : start + array.size] = array.reshape(-1)
        start += array.size


def unflatten(vector: Vector, specs: tuple[TensorSpec, ...]) -> Params:
    """The inverse of `flatten`."""
    params: Params = {}
    start = 0
    for spec in specs:
        params[spec.name] = vector[start : start + spec.size].reshape(tuple(int(d) for d in spec.shape))
        start += spec.size
    return params


def _squared_distances(stack: Stack) -> NDArray[np.float64]:
    """Between all rows, (n, n), by |a|^2 + |b|^2 - 2 ab."""
    products = np.zeros((len(stack), len(stack)), np.float64)
    for _, block in _blocks(stack):
        wide = block.astype(np.float64)
        products += wide @ wide.T
    squares = np.diag(products)
    return np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0.0)


def _blocks(stack: Stack) -> Iterator[tuple[slice, Stack]]:
    """(columns, all rows of those columns), in order."""
    n, width = stack.shape
    step = max(BLOCK_BYTES // (4 * n), 1)
    for start in range(0, width, step):
        columns = slice(start, min(start + step, width))
        yield columns, np.asarray(stack[:, columns])


def _require_rows(stack: Stack) -> int:
    if not len(stack):
        raise InvalidInput("there is no update to aggregate", remedy="wait for at least one device to report")
    return len(stack)

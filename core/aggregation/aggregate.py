"""Many updates into one, streaming: the mean holds one accumulator, whatever the number of updates.

Rules that withstand byzantine updates are in `fedrela.core.aggregation.robust`.

    >>> one, two = {"w": np.float32([1.0])}, {"w": np.float32([4.0])}
    >>> mean([(one, 2), (two, 1)], zero={"w": np.float32([0.0])})["w"]
    array([2.], dtype=float32)
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidInput
from fedrela.core.tensors import Array, Params

_BLOCK = 16_384  # elements: an accumulator's block and the product stay in the processor's cache


def mean(updates: Iterable[tuple[Params, float]], *, zero: Mapping[str, Array]) -> Params:
    """Weighted mean of `(update, weight)` pairs, summed in float64 in the order given; O(model) memory.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017, algorithm 1.
    `zero` gives names and shapes. Raises InvalidInput if there is no update or a weight is not positive.
    """
    totals = {name: np.zeros(array.shape, np.float64) for name, array in zero.items()}
    weights = []
    for update, weight in updates:
        for name, accumulator in totals.items():
            add_weighted(accumulator.reshape(-1), update[name].reshape(-1), weight)
        weights.append(weight)
        del update  # before the next one is made, so that only one is held
    divisor = total_weight(weights)
    return {name: divided(totals.pop(name), divisor) for name in list(totals)}


def total_weight(weights: Iterable[float]) -> float:
    """Their sum, in the order given. Raises InvalidInput if there is none or one is not positive."""
    total = 0.0
    for weight in weights:
        if not weight > 0:
            raise InvalidInput(f"an update has the weight {weight}", remedy="weigh updates by a positive number")
        total += weight
    if total == 0:
        raise InvalidInput("there is no update to aggregate", remedy="wait for at least one device to report")
    return total


def add_weighted(total: NDArray[np.float64], update: NDArray[np.float32], weight: float) -> None:
    """total += weight * update, both (n,), in float64 and block by block."""
    product = np.empty(min(_BLOCK, total.size), np.float64)
    for start in range(0, total.size, _BLOCK):
        block = total[start : start + _BLOCK]
        scaled = product[: block.size]
        np.copyto(scaled, update[start : start + _BLOCK])  # then multiplied: quicker than to do both at once
        scaled *= weight
        np.add(block, scaled, out=block)


def divided(total: NDArray[np.float64], divisor: float) -> NDArray[np.float32]:
    """total / divisor, rounded once; `total` is used up."""
    total /= divisor
    return total.astype(np.float32)

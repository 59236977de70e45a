"""Many updates into one, streaming: the mean holds one accumulator, whatever the number of updates.

Rules that withstand hostile updates are in `core.robust`. May import numpy and `core`.

    >>> one, two = {"w": np.float32([1.0])}, {"w": np.float32([4.0])}
    >>> mean([(one, 2), (two, 1)], zero={"w": np.float32([0.0])})["w"]
    array([2.], dtype=float32)
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from core.errors import InvalidInput
from core.tensors import Array, Params

_BLOCK = 32_768  # elements: an accumulator's block and the product stay in the processor's cache


def mean(updates: Iterable[tuple[Params, float]], *, zero: Mapping[str, Array]) -> Params:
    """Weighted mean of `(update, weight)` pairs, summed in float64 in the order given; O(model) memory.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017, algorithm 1.
    `zero` gives names and shapes. Raises InvalidInput if there is no update or a weight is not positive.
    """
    totals = {name: np.zeros(array.shape, np.float64) for name, array in zero.items()}
    product = np.empty(_BLOCK, np.float64)
    total_weight = 0.0
    for update, weight in updates:
        if not weight > 0:
            raise InvalidInput(f"an update has the weight {weight}", remedy="weigh updates by a positive number")
        for name, accumulator in totals.items():
            _add_weighted(accumulator.reshape(-1), update[name].reshape(-1), weight, product)
        total_weight += weight
        del update  # before the next one is made, so that only one is held
    if total_weight == 0:
        raise InvalidInput("there is no update to aggregate", remedy="wait for at least one device to report")
    return {name: _divided(totals.pop(name), total_weight) for name in list(totals)}


def _add_weighted(
    total: NDArray[np.float64], update: NDArray[np.float32], weight: float, product: NDArray[np.float64]
) -> None:
    """total += weight * update, block by block and in float64."""
    for start in range(0, total.size, _BLOCK):
        part = update[start : start + _BLOCK]
        scaled = np.multiply(part, weight, out=product[: part.size], dtype=np.float64)
        total[start : start + _BLOCK] += scaled


def _divided(total: NDArray[np.float64], divisor: float) -> NDArray[np.float32]:
    total /= divisor
    return total.astype(np.float32)

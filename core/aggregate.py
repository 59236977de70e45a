"""Many updates into one.  Streaming: the mean holds one accumulator, whatever the number of updates.

May import numpy and `core`.

    >>> one, two = {"w": np.float32([1.0])}, {"w": np.float32([4.0])}
    >>> mean([(one, 2), (two, 1)], zero={"w": np.float32([0.0])})["w"]
    array([2.], dtype=float32)
"""

from collections.abc import Iterable

import numpy as np

from core.errors import InvalidInput
from core.tensors import Params


def mean(updates: Iterable[tuple[Params, float]], *, zero: Params) -> Params:
    """Weighted mean of `(update, weight)` pairs, summed in float64 in the order given; O(model) memory.

    McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", 2017, algorithm 1.
    `zero` gives names and shapes. Raises InvalidInput if there is no update or a weight is not positive.
    """
    totals = {name: np.zeros(array.shape, np.float64) for name, array in zero.items()}
    total_weight = 0.0
    for update, weight in updates:
        if not weight > 0:
            raise InvalidInput(f"an update has the weight {weight}", remedy="weigh updates by a positive number")
        for name, accumulator in totals.items():
            accumulator += np.float64(weight) * update[name]
        total_weight += weight
    if total_weight == 0:
        raise InvalidInput("there is no update to aggregate", remedy="wait for at least one device to report")
    return {name: (accumulator / total_weight).astype(np.float32) for name, accumulator in totals.items()}

"""Values in the dtype that a program takes, in this machine's byte order, where no value changes by it.

>>> exactly(np.array([1.5, 2], ">f8"), "float32"), exactly(np.array([0.1]), "float32")
(array([1.5, 2. ], dtype=float32), None)
"""

import numpy as np

from fedrela.core.tensors import Array

_EXACT_IN_FLOAT64 = 2**53


def exactly(values: Array, dtype: str) -> Array | None:
    """The values in `dtype`; None where one would change, or where fractions would become whole numbers.

    A float array of ones and zeros may be pixels in 0..1: their scale as bytes would be a guess.
    """
    target = np.dtype(dtype)
    if values.dtype == target:
        return values
    source, kind = values.dtype.kind, target.kind
    if not values.size and source in "iuf" and kind in "iuf":
        return values.astype(target)
    if source in "iu" and kind in "iu":
        bounds = np.iinfo(target)
        fits = bounds.min <= int(values.min()) and int(values.max()) <= bounds.max
        return values.astype(target) if fits else None
    if source in "iu" and kind == "f" and max(-int(values.min()), int(values.max())) <= _EXACT_IN_FLOAT64:
        return _unchanged(values, target)
    return _unchanged(values, target) if source == kind == "f" else None


def _unchanged(values: Array, target: np.dtype) -> Array | None:
    with np.errstate(over="ignore"):
        converted: Array = values.astype(target)
        return converted if np.array_equal(converted.astype(values.dtype), values) else None

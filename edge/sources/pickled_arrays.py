"""Arrays as pickles spell them, built from what is checked: numpy's own way of restoring one ends the process where the
pickle is damaged.

>>> array = reconstruct(PickledArray, (0,), b"b")
>>> array.__setstate__((1, (2,), PickledDtype("u1", False, True), False, b"ab"))
>>> array.values().tolist()
[97, 98]
"""

import math
from typing import Any

import numpy as np

from fedrela.core.tensors import Array

_DTYPES = {f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)}
_ORDERS = {"<", ">", "|", "="}
_PLAIN = (None, None, None, -1, -1, 0)  # how the state of a dtype ends that has no fields, shape or flags


def _text(value: Any) -> str:
    """Python 2 pickled its texts as bytes."""
    return value.decode("ascii") if isinstance(value, bytes) else str(value)


def _same(value: Any, expected: Any) -> bool:
    """Equal and of one type, as numpy asks for: 1 is neither 1.0 nor True."""
    if type(value) is not type(expected):
        return False
    if isinstance(expected, tuple):
        return len(value) == len(expected) and all(map(_same, value, expected))
    return bool(value == expected)


class PickledDtype:
    """`numpy.dtype(code, align, copy)` of whole numbers. Raises ValueError for any other."""

    def __init__(self, code: Any, align: Any, copy: Any) -> None:
        self._code, self._order = _text(code), "="
        if self._code not in _DTYPES:
            raise ValueError(f"it holds an array of {self._code[:20]!r}")

    def __setstate__(self, state: Any) -> None:
        version, order, *rest = state
        self._order = _text(order)
        if self._order not in _ORDERS or not _same((version, *rest), (3, *_PLAIN)):
            raise ValueError("it holds an array of another kind")

    @property
    def dtype(self) -> np.dtype[Any]:
        """As numpy's."""
        return np.dtype(self._order + self._code)


class PickledArray:
    """`numpy.ndarray`, as `reconstruct` begins it and its state fills it."""

    def __init__(self) -> None:
        self._values: Array | None = None

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, is_fortran, body = state
        if not _same(version, 1) or not isinstance(kind, PickledDtype) or not isinstance(body, bytes):
            raise ValueError("it holds an array of another kind")
        if not isinstance(is_fortran, int):  # True and False are
            raise ValueError("it holds an array of no order")
        if type(shape) is not tuple or len(shape) > 4 or any(type(size) is not int or size < 0 for size in shape):
            raise ValueError("it holds an array of no shape")
        if len(body) != math.prod(shape) * kind.dtype.itemsize:
            raise ValueError("it holds an array that is not as long as its shape says")
        flat = np.frombuffer(body, kind.dtype)
        self._values = flat.reshape(shape, order="F" if is_fortran else "C")

    def values(self) -> Array:
        """The array. Raises ValueError for one that was never filled."""
        if self._values is None:
            raise ValueError("it holds an array without values")
        return self._values


def reconstruct(kind: Any, shape: Any, code: Any) -> PickledArray:
    """`numpy.core.multiarray._reconstruct`: an array that its state fills. Raises ValueError for another type."""
    if kind is not PickledArray or not _same(shape, (0,)) or _text(code) != "b":
        raise ValueError("it holds an array of a class of its own")
    return PickledArray()

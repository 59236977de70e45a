"""The field GF(2^8) with the polynomial x^8 + x^4 + x^3 + x + 1 (0x11B), as in AES (FIPS 197, section 4).

Addition is exclusive or. Multiplication adds logarithms to the base 3, which generates every element but 0 (2 doesn't).

    >>> hex(int(multiply(np.uint8(0x57), np.uint8(0x83))))
    '0xc1'
"""

import numpy as np
from numpy.typing import NDArray

ELEMENTS = 256
ORDER = 255  # of the multiplicative group
_POLYNOMIAL = 0x11B

Bytes = NDArray[np.uint8]


def _tables() -> tuple[Bytes, NDArray[np.int64]]:
    """3^0, 3^1, ... twice over, and the logarithm of each element; that of 0 is never used."""
    powers, logarithms = np.zeros(2 * ORDER, np.uint8), np.zeros(ELEMENTS, np.int64)
    element = 1
    for exponent in range(ORDER):
        powers[exponent] = powers[exponent + ORDER] = element
        logarithms[element] = exponent
        doubled = element << 1
        element ^= doubled ^ _POLYNOMIAL if doubled >= ELEMENTS else doubled
    return powers, logarithms


_POWERS, _LOGARITHMS = _tables()


def multiply(left: Bytes | np.uint8, right: Bytes | np.uint8) -> Bytes:
    """Products element by element, by numpy's rules of broadcasting."""
    product = _POWERS[_LOGARITHMS[left] + _LOGARITHMS[right]]
    return np.where((np.asarray(left) == 0) | (np.asarray(right) == 0), np.uint8(0), product)


def lagrange_weights(points: Bytes, at: int) -> Bytes:
    """By what the values at distinct `points`, (t,), are multiplied to add up to the polynomial's value `at`; (t,).

    `at` must be none of the points.
    """
    numerators = _LOGARITHMS[points ^ np.uint8(at)]
    differences = _LOGARITHMS[points[:, None] ^ points]  # its diagonal is the logarithm of 0, stored as 0
    weights: Bytes = _POWERS[(numerators.sum() - numerators - differences.sum(1)) % ORDER]
    return weights

"""GF(2^8) against products worked by hand, and as a field."""

import numpy as np

from fedrela.core.secure import field

EVERY = np.arange(256, dtype=np.uint8)


def by_hand(left: int, right: int) -> int:
    """Shift and add, reduced by 0x11B: FIPS 197, section 4.2."""
    product = 0
    while right:
        product ^= left if right & 1 else 0
        left = (left << 1) ^ (0x11B if left & 0x80 else 0)
        right >>= 1
    return product


def test_every_product_is_that_of_shift_and_add():
    expected = [[by_hand(left, right) for right in range(256)] for left in range(256)]
    assert field.multiply(EVERY[:, None], EVERY).tolist() == expected


def test_fips_197_s_examples():
    left, right = np.uint8([0x57, 0x57]), np.uint8([0x83, 0x13])
    assert field.multiply(left, right).tolist() == [0xC1, 0xFE]


def test_lagrange_weights_give_back_a_line():
    points = np.uint8([1, 2])
    values = field.multiply(np.uint8(7), points) ^ np.uint8(9)  # 9 + 7 x
    weights = field.lagrange_weights(points, 0)
    assert int(np.bitwise_xor.reduce(field.multiply(values, weights))) == 9

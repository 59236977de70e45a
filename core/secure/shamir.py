"""Shamir's secret sharing, byte by byte over GF(2^8): any t shares give the secret back, t - 1 say nothing about it.

Share x (from 1) is the value at x of a polynomial of degree t - 1 whose constant term is the secret's byte.

    >>> shares = split(b"secret", threshold=2, members=3, coefficients=b"random")
    >>> combine({1: shares[0], 3: shares[2]})
    b'secret'
"""

from collections.abc import Mapping

import numpy as np

from fedrela.core.errors import InvalidMessage
from fedrela.core.secure import field


def split(secret: bytes, *, threshold: int, members: int, coefficients: bytes) -> tuple[bytes, ...]:
    """The shares of members 1 to `members`, each as long as the secret.

    `coefficients`: threshold - 1 times as many uniformly random bytes as the secret has; the first block belongs to x,
    the next to x^2, and so on. Used once, and kept secret.
    """
    assert 1 <= threshold <= members < field.ELEMENTS
    assert len(coefficients) == (threshold - 1) * len(secret)
    points = np.arange(1, members + 1, dtype=np.uint8)[:, None]
    rows = np.frombuffer(secret + coefficients, np.uint8).reshape(threshold, len(secret))
    values = np.zeros((members, len(secret)), np.uint8)
    for row in rows[::-1]:  # Horner's rule
        values = field.multiply(values, points) ^ row
    return tuple(value.tobytes() for value in values)


def combine(shares: Mapping[int, bytes], *, at: int = 0) -> bytes:
    """The polynomial's value `at`: 0 is the secret, x is member x's share. `shares`, exactly t of them, by member.

    Other shares than t give another value and no error: compare with a commitment. Raises InvalidMessage where their
    lengths differ, a member's number is not 1 to 255, or there is none.
    """
    lengths = {len(share) for share in shares.values()}
    if len(lengths) != 1 or not all(0 < member < field.ELEMENTS for member in shares):
        raise InvalidMessage("shares don't belong together", remedy="send shares of one secret, one for each member")
    if at in shares:
        return shares[at]
    weights = field.lagrange_weights(np.array(list(shares), np.uint8), at)
    rows = np.frombuffer(b"".join(shares.values()), np.uint8).reshape(len(shares), lengths.pop())
    value: field.Bytes = np.bitwise_xor.reduce(field.multiply(rows, weights[:, None]), axis=0)
    return value.tobytes()

"""Vectors for GF(2^8) and Shamir's secret sharing.

>>> build()["products"][0]
{'left': 87, 'right': 131, 'product': 193}
"""

from typing import Any

import numpy as np

from fedrela.conformance.secure.sessions import secret
from fedrela.core.secure import field, shamir, statements

PAIRS = ((0x57, 0x83), (0x57, 0x13), (0, 7), (7, 0), (1, 255), (255, 255), (2, 141), (3, 246))


def build() -> dict[str, Any]:
    """The document secure/sharing.json."""
    by_hand = shamir.split(b"\x01", threshold=2, members=3, coefficients=b"\x02")
    assert by_hand == (b"\x03", b"\x05", b"\x07")
    return {
        "products": [
            {"left": left, "right": right, "product": int(field.multiply(np.uint8(left), np.uint8(right)))}
            for left, right in PAIRS
        ],
        "split": [
            _split(b"\x01", 2, 3, b"\x02"),
            *(_split(secret("shared", count), statements.threshold(count), count) for count in (5, 16, 64)),
        ],
        "combine": _combined(),
        "thresholds": [[members, statements.threshold(members)] for members in (5, 6, 7, 8, 9, 10, 14, 16, 32, 63, 64)],
    }


def _split(value: bytes, threshold: int, members: int, coefficients: bytes | None = None) -> dict[str, Any]:
    if coefficients is None:
        coefficients = b"".join(secret("coefficient", members, power) for power in range(1, threshold))
    shares = shamir.split(value, threshold=threshold, members=members, coefficients=coefficients)
    return {
        "secret": value.hex(),
        "threshold": threshold,
        "coefficients": coefficients.hex(),
        "shares": [share.hex() for share in shares],
    }


def _combined() -> list[dict[str, Any]]:
    """Subsets of one split: what they give, right or wrong."""
    value, coefficients = secret("combined"), b"".join(secret("coefficient", power) for power in range(1, 4))
    shares = shamir.split(value, threshold=4, members=6, coefficients=coefficients)
    good = dict(enumerate(shares, 1))
    flipped = bytes([good[2][0] ^ 1]) + good[2][1:]
    cases = (
        ("the first four", {index: good[index] for index in (1, 2, 3, 4)}),
        ("the last four", {index: good[index] for index in (3, 4, 5, 6)}),
        ("in another order", {index: good[index] for index in (6, 1, 4, 2)}),
        ("one too few", {index: good[index] for index in (1, 2, 3)}),
        ("one is wrong", {index: good[index] for index in (1, 3, 4)} | {2: flipped}),
    )
    return [
        {
            "name": name,
            "shares": [{"index": index, "share": share.hex()} for index, share in subset.items()],
            "secret": shamir.combine(subset).hex(),
            "is_right": shamir.combine(subset) == value,
        }
        for name, subset in cases
    ]

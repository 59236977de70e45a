"""The learning rate's schedule over a task's rounds: to the bit the same in every client.

    constant    1
    cosine      cos(pi / 2 * (round - 1) / rounds) squared, which is (1 + cos(pi * (round - 1) / rounds)) / 2
    step        1, and a tenth after four fifths of the rounds

No language promises the last bit of its cosine, and all of them promise those of a sum, a product and a quotient in
float64. So the cosine is a Taylor series here, in one order of operations.

    >>> [factor("cosine", number, 4) for number in (1, 2, 3, 4)]
    [1.0, 0.8535533905932737, 0.5000000000000001, 0.1464466094067262]
    >>> [factor("step", number, 10) for number in (8, 9)]
    [1.0, 0.1]
"""

from typing import Literal

LrSchedule = Literal["constant", "cosine", "step"]

_HALF_PI = 1.5707963267948966
_TERMS = 10  # one more changes nothing that float64 shows


def factor(schedule: LrSchedule, round_number: int, rounds: int) -> float:
    """What the learning rate is multiplied by in a round, from 1 to `rounds`: above 0 and at most 1."""
    if schedule == "cosine":
        cosine = _cosine((round_number - 1) / rounds * _HALF_PI)
        return cosine * cosine
    if schedule == "step":
        return 0.1 if 5 * round_number > 4 * rounds else 1.0
    return 1.0


def _cosine(angle: float) -> float:
    """1 - a^2/(1*2) (1 - a^2/(3*4) (1 - ...)) from the inside out, for an angle a of a quarter turn at most."""
    square, nested = angle * angle, 1.0
    for term in range(_TERMS, 0, -1):
        nested = 1.0 - square / ((2 * term - 1) * (2 * term)) * nested
    return nested

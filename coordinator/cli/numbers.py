"""Numbers that an operator types, checked before anybody is asked: typer's own bounds let nan through, and infinity.

>>> between(24.0, "--hours", 0.01, 100)
24.0
"""

from fedrela.core.errors import InvalidInput
from fedrela.core.protocol.limits import Between


def between(number: float, option: str, least: float, most: float) -> float:
    """The number, if it lies within. Raises InvalidInput that names the option."""
    bounds = Between(least, most)
    if not bounds.holds(number):
        raise InvalidInput(f"{option} is {number:g}", remedy=bounds.remedy())
    return number

"""Samples that are equal and have different labels: they are trained on as they are, and their owner may mend them.

Which they are is for the owner's eyes alone: an event says that there are some, and no message or log names one.

    >>> groups(["a", "b", "a", "b"], [0, 1, 2, 1])
    [[0, 2]]
    >>> named([[0, 2]], ["cats/one.jpg", "cats/two.jpg", "dogs/two.jpg"].__getitem__)
    'cats/one.jpg = dogs/two.jpg'
"""

from collections.abc import Callable, Hashable, Sequence

NOTE = "some examples have exactly the values of others, and another label"
MOST_NAMED = 5


def groups(values: Sequence[Hashable], labels: Sequence[Hashable]) -> list[list[int]]:
    """The rows of equal values that have more than one label, one list for each such value."""
    rows: dict[Hashable, list[int]] = {}
    for row, value in enumerate(values):
        rows.setdefault(value, []).append(row)
    return [equal for equal in rows.values() if len({labels[row] for row in equal}) > 1]


def named(equal: Sequence[Sequence[int]], name: Callable[[int], str]) -> str:
    """The first of them by name, equal ones side by side, and how many more there are; empty where there are none."""
    shown: list[Sequence[int]] = []
    for rows in equal:
        room = MOST_NAMED - sum(map(len, shown))
        if room > 1:  # one alone would say nothing
            shown.append(rows[:room])
    more = sum(map(len, equal)) - sum(map(len, shown))
    parts = [" = ".join(map(name, rows)) for rows in shown]
    return "; ".join([*parts, f"and {more} more"] if more else parts)

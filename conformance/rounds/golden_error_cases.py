"""Vectors for the error of a golden output: what a client got, what was recorded, and by how much it is off.

Numbers that JSON has no word for are texts: "NaN", "Infinity", "-Infinity".

    >>> {case["name"]: case["error"] for case in build()["cases"]}["a NaN is expected"]
    'Infinity'
"""

import math
from typing import Any

import numpy as np

from fedrela.core import golden

_LARGE = 1e30
_NOT_FINITE = {"a NaN": math.nan, "infinity": math.inf, "minus infinity": -math.inf}
_SOUND: dict[str, Any] = {"expected": [1.0, -2.0, 0.5], "actual": [1.0, -2.0, 0.75], "before": None, "slack": 0.0}


def build() -> dict[str, Any]:
    """The document golden-errors.json; `before` is null where an output replaces no input."""
    return {"cases": [_case(name, **changes) for name, changes in (*_finite(), *_not_finite(), *_slack())]}


def _case(name: str, **changes: Any) -> dict[str, Any]:
    given = _SOUND | changes
    expected, actual = np.array(given["expected"]), np.array(given["actual"])
    before = np.array(0.0 if given["before"] is None else given["before"])
    error = golden.relative_error(expected, actual, before, given["slack"])
    return {"name": name} | {key: _told(value) for key, value in (given | {"error": error}).items()}


def _told(value: Any) -> Any:
    if isinstance(value, list):
        return [_told(item) for item in value]
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _finite() -> list[tuple[str, dict[str, Any]]]:
    sound = _SOUND["expected"]
    return [
        ("off by a quarter", {}),
        ("equal", {"actual": sound}),
        ("relative to the change of what it replaces", {"before": [1.0, -2.0, 0.0]}),
        ("equal to what it replaces, and off", {"before": sound}),
        ("nothing is expected and nothing is given", {"expected": [0.0], "actual": [0.0]}),
        ("nothing is expected and little is given", {"expected": [0.0], "actual": [1e-13]}),
        ("no elements", {"expected": [], "actual": []}),
        ("one element more", {"actual": [*sound, 0.0]}),
        ("one element less", {"actual": sound[:2]}),
        ("large", {"expected": [_LARGE], "actual": [-_LARGE]}),
    ]


def _not_finite() -> list[tuple[str, dict[str, Any]]]:
    rows: list[tuple[str, dict[str, Any]]] = []
    for word, value in _NOT_FINITE.items():
        row = [1.0, value, 0.5]
        rows += [
            (f"{word} is given", {"actual": row}),
            (f"{word} is expected", {"expected": row}),
            (f"{word} is expected and given", {"expected": row, "actual": row}),
            (f"{word} was there before", {"before": row, "actual": _SOUND["expected"]}),
            (f"{word} is the slack", {"slack": value}),
        ]
    return rows


def _slack() -> list[tuple[str, dict[str, Any]]]:
    return [
        ("slack for half of it", {"slack": 0.125}),
        ("slack for all of it", {"slack": 0.25}),
        ("slack for more than that", {"slack": 0.5}),
        ("slack beyond 0.3 counts as 0.3", {"slack": 1e9, "actual": [1.0, -2.0, 2.5]}),
        ("slack for a change counts against the change", {"slack": 1e9, "before": [1.0, -2.0, 0.25]}),
    ]

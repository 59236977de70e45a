"""A task as the file that would publish it again: what an operator reads, copies and changes.

>>> print(text(Task("digits", 20)), end="")
name = "digits"
rounds = 20
<BLANKLINE>
[round]
goal = 10
smallest_cohort = 5
<BLANKLINE>
[aggregation]
weight_by_examples = true
<BLANKLINE>
[privacy]
secure = "none"
clipped_share = 0.0
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from fedrela.core.task import Task

# What is written whatever it is: it says who sees what, or a file that doesn't say it means something else.
_ALWAYS = {
    "round": ("goal", "smallest_cohort"),
    "aggregation": ("weight_by_examples",),
    "privacy": ("secure", "clipped_share"),
}


def text(task: Task) -> str:
    """TOML that `fedrela.core.task.from_toml` reads as this very task: what differs from a new task's defaults."""
    values, usual = dataclasses.asdict(task), dataclasses.asdict(Task(task.name, task.rounds))
    lines = [f"{name} = {_value(values[name])}" for name in ("name", "rounds")]
    tables = [name for name, value in usual.items() if isinstance(value, Mapping)]
    for name in (name for name in values if name not in ("name", "rounds", *tables)):
        if values[name] != usual[name]:
            lines.append(f"{name} = {_value(values[name])}")
    for table in tables:
        written = [
            f"{name} = {_value(value)}"
            for name, value in values[table].items()
            if name in _ALWAYS.get(table, ())
            or value != usual[table][name]
            or type(value) is not type(usual[table][name])
        ]
        lines += ["", f"[{table}]", *written] if written else []
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    """A value as TOML writes it, which for all that a task holds is as JSON does, but for tables."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)

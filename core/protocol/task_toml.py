"""A task as the file that would publish it again: what an operator reads, copies and changes.

>>> print(text(Task("digits", 20)), end="")
# left out: what is as in every new task
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
    lines = ["# left out: what is as in every new task"]
    lines += [f"{name} = {value(values[name])}" for name in ("name", "rounds")]
    tables = [name for name, item in usual.items() if isinstance(item, Mapping)]
    for name in (name for name in values if name not in ("name", "rounds", *tables)):
        if values[name] != usual[name]:
            lines.append(f"{name} = {value(values[name])}")
    for table in tables:
        written = [
            f"{name} = {value(item)}"
            for name, item in values[table].items()
            if name in _ALWAYS.get(table, ())
            or item != usual[table][name]
            or type(item) is not type(usual[table][name])
        ]
        lines += ["", f"[{table}]", *written] if written else []
    return "\n".join(lines) + "\n"


def value(item: Any) -> str:
    """A value as TOML writes it, which for all that a task or a scenario holds is as JSON does, but for tables."""
    if isinstance(item, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)} = {value(member)}" for name, member in item.items()) + "}"
    if isinstance(item, tuple | list):
        return "[" + ", ".join(map(value, item)) + "]"
    return json.dumps(item, ensure_ascii=False).replace("\x7f", "\\u007f")  # which JSON allows and TOML doesn't

"""A scenario as a file with all of its keys, to begin one's own with.

>>> from fedrela.emulator.scenario import from_toml
>>> print(text(from_toml('name = "twelve"\\ndevices = 12')).splitlines()[:3])
['name = "twelve"', 'devices = 12', 'seed = 0']
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fedrela.core.protocol.task_toml import value
from fedrela.emulator.scenario import Scenario

_INLINE = ("hyperparameters", "lost_before")  # short ones, and those whose names are anybody's


def text(scenario: Scenario) -> str:
    """TOML that `from_toml` reads as this very scenario."""
    values = {name: item for name, item in dataclasses.asdict(scenario).items() if item is not None}
    classes = {name: values.pop(name) for name in ("device", "malicious")}
    lines = _table("", values)
    for name, items in classes.items():
        for item in items:
            lines += ["", f"[[{name}]]", *(f"{key} = {value(member)}" for key, member in item.items())]
    return "\n".join(lines).strip() + "\n"


def _table(path: str, values: Mapping[str, Any]) -> list[str]:
    """The plain keys first, as TOML wants it, then the tables below."""
    below = {name: item for name, item in values.items() if isinstance(item, Mapping) and name not in _INLINE}
    lines = ["", f"[{path}]"] if path else []
    lines += [f"{name} = {value(item)}" for name, item in values.items() if name not in below]
    for name, item in below.items():
        lines += _table(f"{path}.{name}" if path else name, item)
    return lines

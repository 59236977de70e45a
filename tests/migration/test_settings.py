"""Every settings file of version 0.1 says what it said: keys that have another name since then are still read."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedrela.core import task
from fedrela.edge.owner import settings
from fedrela.emulator import scenario
from tests.migration.product import RECORDED, VERSION_0_1

FOLDER = VERSION_0_1 / "settings"
# What a file that says nothing of it means now: secure rounds weigh devices alike.
NEW_DEFAULTS = {
    "scenario.toml": {
        "task.aggregation.weight_by_examples": False,
        "data.test_per_class": 0,  # 40 still, but of data whose rarest class has less than 160
    }
}
# From a key as version 0.1 called it to its name now: "local.epochs" renames one key, "local" all keys of a table.
RENAMED: dict[str, str] = {
    "hostile": "malicious",
    "eligibility.require_mains_or_battery_percent": "eligibility.min_battery_percent",
    # One for every client; a table by the client's name now, and not there where there is no limit.
    "eligibility.min_client_version": "eligibility.min_client_versions.any",
    "eligibility.max_client_version": "eligibility.max_client_versions.any",
}
READERS: dict[str, Callable[[Path], Any]] = {
    "task.toml": lambda path: task.from_toml(path.read_text()),
    "device.toml": settings.load,
    "scenario.toml": lambda path: scenario.load(str(path))[0],
}


def leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a nested JSON value, with its dotted key."""
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from leaves(item, f"{key}.{name}" if key else name)
    elif isinstance(value, list | tuple) and value:
        for number, item in enumerate(value):
            yield from leaves(item, f"{key}.{number}")
    else:
        yield key, list(value) if isinstance(value, tuple) else value


def renamed(key: str) -> str:
    """A key's name now: the longest part of it that was renamed counts; a scenario's task is named like a task."""
    if key.startswith("task."):
        return "task." + renamed(key.removeprefix("task."))
    for old in sorted(RENAMED, key=len, reverse=True):
        if f"{key}.".startswith(f"{old}."):
            return RENAMED[old] + key[len(old) :]
    return key


@pytest.mark.parametrize("name", READERS)
def test_a_file_says_what_it_said(name: str) -> None:
    now = dict(leaves(dataclasses.asdict(READERS[name](FOLDER / name))))
    recorded = {renamed(key): value for key, value in leaves(RECORDED["settings"][name])}
    recorded = {key: value for key, value in recorded.items() if value or not key.endswith("_client_versions.any")}
    assert {key: now.get(key) for key in recorded} == recorded | NEW_DEFAULTS.get(name, {})

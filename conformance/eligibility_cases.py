"""Vectors for conditions: what a device's sensors say, a rule of the task or the owner, and what stands in the way.

A client that has no such sensor takes no obstacle: it drops from a case what it can't read, and from the obstacles
those whose sensors it then lacks.

    >>> {case["name"]: case["obstacles"] for case in build()["cases"]}["battery: below the limit"]
    ['min_battery_percent']
"""

from typing import Any

from fedrela.core import strict
from fedrela.core.errors import InvalidTask
from fedrela.core.task import Eligibility
from fedrela.edge.conditions.eligibility import Conditions, reasons

# Field of the rule -> the conditions that it reads, all of which a client needs to find the obstacle.
SENSORS = {
    "min_battery_percent": ["on_mains", "battery_percent"],
    "require_unmetered_network": ["metered"],
    "max_cpu_celsius": ["cpu_celsius"],
    "refuse_when_throttled": ["throttled"],
    "max_load_per_core": ["load_per_core"],
    "min_free_disk_bytes": ["free_disk_bytes"],
    "min_free_memory_bytes": ["free_memory_bytes"],
    "hours": ["minute_of_day"],
}
WELL: dict[str, Any] = {
    "on_mains": True,
    "battery_percent": 100.0,
    "metered": False,
    "cpu_celsius": 40.0,
    "throttled": False,
    "load_per_core": 0.1,
    "free_disk_bytes": 10**10,
    "free_memory_bytes": 10**9,
    "minute_of_day": 720,
}
ALL_RULES: dict[str, Any] = {
    "min_battery_percent": 60,
    "require_unmetered_network": True,
    "max_cpu_celsius": 75,
    "refuse_when_throttled": True,
    "max_load_per_core": 0.8,
    "min_free_disk_bytes": 10**9,
    "min_free_memory_bytes": 10**8,
    "hours": "09:00-17:00",
}
Rows = list[tuple[str, dict[str, Any], dict[str, Any]]]


def build() -> dict[str, Any]:
    """The document eligibility.json."""
    rows = _power() + _numbers() + _switches() + _hours() + _together()
    return {"sensors": SENSORS, "cases": [_case(*row) for row in rows]}


def _case(name: str, conditions: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    """The obstacles are found field by field, so that the document says which of them stands in the way."""
    now = Conditions(**conditions)
    alone = [strict.build(Eligibility, {key: value}, InvalidTask) for key, value in rule.items()]
    obstacles = [key for key, only in zip(rule, alone, strict=True) if reasons(now, only)]
    assert bool(reasons(now, strict.build(Eligibility, rule, InvalidTask))) == bool(obstacles)
    return {"name": name, "conditions": conditions, "rule": rule, "obstacles": obstacles}


def _power() -> Rows:
    def battery(percent: float) -> dict[str, Any]:
        return {"on_mains": False, "battery_percent": percent}

    rule = {"min_battery_percent": 60}
    return [
        ("battery: at the limit", battery(60.0), rule),
        ("battery: below the limit", battery(59.9), rule),
        ("battery: above the limit", battery(60.1), rule),
        ("battery: empty, but charging", {"on_mains": True, "battery_percent": 1.0}, rule),
        ("battery: below the limit, no word of the mains", {"battery_percent": 10.0}, rule),
        ("battery: on battery, no word of its charge", {"on_mains": False}, rule),
        ("battery: there is none", {}, rule),
        ("battery: any charge will do", battery(0.0), {"min_battery_percent": 0}),
        ("battery: full or charging, and full", battery(100), {"min_battery_percent": 100}),
        ("battery: full or charging, and neither", battery(99.5), {"min_battery_percent": 100}),
        ("battery: a limit between whole numbers", battery(20.0), {"min_battery_percent": 20.5}),
    ]


def _numbers() -> Rows:
    """At, below and above each limit; without the sensor; with the limit 0, which is none."""
    rows: Rows = []
    for field, sensor, limit, step in (
        ("max_cpu_celsius", "cpu_celsius", 75.0, 0.5),
        ("max_load_per_core", "load_per_core", 0.75, 0.125),
        ("min_free_disk_bytes", "free_disk_bytes", 2**40, 1),
        ("min_free_memory_bytes", "free_memory_bytes", 2**53 - 1, 1),
    ):
        for word, value in (("at", limit), ("below", limit - step), ("above", limit + step)):
            rows.append((f"{field}: {word} the limit", {sensor: value}, {field: limit}))
        rows.append((f"{field}: no such sensor", {}, {field: limit}))
        rows.append((f"{field}: nothing is asked", {sensor: 10**6 if field.startswith("max") else 0}, {field: 0}))
    return rows


def _switches() -> Rows:
    rows: Rows = []
    for field, sensor in (("require_unmetered_network", "metered"), ("refuse_when_throttled", "throttled")):
        for asked in (True, False):
            for seen in (True, False):
                rows.append(
                    (f"{field} {str(asked).lower()}: {sensor} {str(seen).lower()}", {sensor: seen}, {field: asked})
                )
        rows.append((f"{field}: no such sensor", {}, {field: True}))
    return rows


def _hours() -> Rows:
    """The first minute belongs to the hours, the last does not; an end before the start crosses midnight."""
    rows: Rows = []
    for hours, minutes in (
        ("09:30-17:00", (0, 569, 570, 571, 1019, 1020, 1439)),
        ("22:00-06:00", (0, 359, 360, 720, 1319, 1320, 1439)),
        ("00:00-23:59", (0, 1438, 1439)),
        ("23:59-00:00", (0, 1438, 1439)),
        ("23:59-00:01", (0, 1, 1438, 1439)),
        ("12:00-12:01", (719, 720, 721)),
        ("", (0, 720)),
    ):
        for minute in minutes:
            rows.append(
                (f'hours "{hours}": {minute // 60:02}:{minute % 60:02}', {"minute_of_day": minute}, {"hours": hours})
            )
    return [*rows, ("hours: no clock", {}, {"hours": "09:30-17:00"})]


def _together() -> Rows:
    bad = {
        "on_mains": False,
        "battery_percent": 5.0,
        "metered": True,
        "cpu_celsius": 95.0,
        "throttled": True,
        "load_per_core": 3.0,
        "free_disk_bytes": 0,
        "free_memory_bytes": 0,
        "minute_of_day": 0,
    }
    rows: Rows = [("all is well", WELL, ALL_RULES), ("nothing is asked", bad, {}), ("nothing is known", {}, ALL_RULES)]
    rows += [(f"all is well but {key}", WELL | {key: bad[key]}, ALL_RULES) for key in bad]
    return [*rows, ("nothing is well", bad, ALL_RULES)]

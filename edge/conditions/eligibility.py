"""May this device train now? Rules from the task and from its owner, checked here and never reported.

`reasons` is pure; `fedrela.edge.conditions.sensors` reads the conditions. A sensor that a device doesn't have is no
obstacle: a desktop has no battery, a container no thermometer.

    >>> reasons(Conditions(cpu_celsius=81.0), Eligibility(max_cpu_celsius=75.0))
    ('the CPU is at 81 °C, the limit is 75 °C',)
"""

from dataclasses import dataclass

from fedrela.core.errors import InvalidTask
from fedrela.core.hours import parse_hours, within
from fedrela.core.task import Eligibility


@dataclass(frozen=True)
class Conditions:
    """What the device's sensors say; None where there is no such sensor."""

    on_mains: bool | None = None
    battery_percent: float | None = None
    metered: bool | None = None
    cpu_celsius: float | None = None
    throttled: bool | None = None
    load_per_core: float | None = None  # of the last minute, this process included
    free_disk_bytes: int | None = None
    free_memory_bytes: int | None = None
    minute_of_day: int | None = None  # local time, 0 to 1439


def reasons(now: Conditions, rule: Eligibility) -> tuple[str, ...]:
    """Why the device may not train under `rule`; empty if it may."""
    obstacles = [
        _power(now, rule),
        "the network is metered" if rule.require_unmetered_network and now.metered else "",
        _above("the CPU is at {:.0f} °C, the limit is {:.0f} °C", now.cpu_celsius, rule.max_cpu_celsius),
        "the CPU is throttled" if rule.refuse_when_throttled and now.throttled else "",
        _above("the load per core is {:.1f}, the limit is {:.1f}", now.load_per_core, rule.max_load_per_core),
        _below("free disk space", now.free_disk_bytes, rule.min_free_disk_bytes),
        _below("free memory", now.free_memory_bytes, rule.min_free_memory_bytes),
        _outside(rule.hours, now.minute_of_day),
    ]
    return tuple(reason for reason in obstacles if reason)


def _power(now: Conditions, rule: Eligibility) -> str:
    least_percent = rule.min_battery_percent
    if not least_percent or now.on_mains or now.battery_percent is None or now.battery_percent >= least_percent:
        return ""
    return f"the battery is at {now.battery_percent:.0f} %, {least_percent:.0f} % or mains power is wanted"


def _above(text: str, value: float | None, limit: float) -> str:
    return text.format(value, limit) if limit and value is not None and value > limit else ""


def _below(what: str, value: int | None, limit: int) -> str:
    return f"{what} is {value:,} bytes, {limit:,} are wanted" if limit and value is not None and value < limit else ""


def _outside(hours: str, minute: int | None) -> str:
    if not hours or minute is None:
        return ""
    allowed = within(minute, *parse_hours(hours, "eligibility.hours", InvalidTask))
    return "" if allowed else f"training is allowed from {hours.replace('-', ' to ')} only"

"""From recorded runs to the figures of a report. Pure: `Run` values in, plain values out; nothing is drawn or printed.

>>> spread([0.5, 0.7])
SeedSpread(mean=0.6, deviation=0.1, values=(0.5, 0.7))
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedrela.core.errors import InvalidInput
from fedrela.emulator.results.record import Run

GROUPS = ("overall", "many", "medium", "few", "balanced")


_OF_DATA = ("dataset", "profile", "imbalance", "split", "alpha")  # of a scenario


@dataclass(frozen=True)
class SeedSpread:
    """Mean and population standard deviation over the seeds, and the values themselves in the order of the runs."""

    mean: float
    deviation: float
    values: tuple[float, ...]


@dataclass(frozen=True)
class Arm:
    """All runs that share a label: one method, several seeds."""

    label: str
    runs: tuple[Run, ...]
    accuracy: dict[str, SeedSpread]  # of the final model, per group, shares in 0..1
    per_class: tuple[SeedSpread, ...]
    before_per_class: tuple[SeedSpread, ...]  # at the last round before re-labeling starts, or that far into the run


@dataclass(frozen=True)
class FleetFigures:
    """What the devices did, over all runs of a report."""

    assigned: int
    updates: int
    events: dict[str, int]  # "refused: code" or "drop-out" and so on -> how often
    bytes_down: int
    bytes_up: int
    devices_by_updates: dict[int, int]  # number of updates -> number of (run, device) pairs
    virtual_seconds: float


@dataclass(frozen=True)
class Report:
    """Everything that the table, the plots and the page show."""

    arms: tuple[Arm, ...]
    gains: dict[str, SeedSpread] | None  # last arm minus first arm, paired by seed; None without pairs
    fleet: FleetFigures
    unlike: tuple[str, ...] = ()  # in what else the runs differ than in seed and method


def summarize(runs: Sequence[Run]) -> Report:
    """Group runs by label, in order of first appearance. Raises InvalidInput if there is none or one is unfinished."""
    if not runs:
        raise InvalidInput("there is no run to report on", remedy="name at least one folder under runs/")
    unfinished = [run.folder for run in runs if not run.complete]
    if unfinished:
        raise InvalidInput(f"the run in {unfinished[0]} has not finished", remedy="make it again, or leave it out")
    _refuse_repeated(runs)
    # What trains without re-labels comes first, however the folders were named: a gain is over it.
    plain_first = sorted(runs, key=lambda run: bool(run.header["task"]["relabel"]["enabled"]))
    labels = list(dict.fromkeys(run.label for run in plain_first))
    arms = tuple(_arm(label, [run for run in runs if run.label == label]) for label in labels)
    return Report(arms, _gains(arms[0], arms[-1]) if len(arms) > 1 else None, _fleet(runs), _unlike(runs))


def _refuse_repeated(runs: Sequence[Run]) -> None:
    """One seed counted twice would pass for two, whether it is one run or two of different settings."""
    first: dict[tuple[str, int], Run] = {}
    for run in runs:
        other = first.setdefault((run.label, run.seed), run)
        if other is not run:
            raise InvalidInput(
                f"{other.folder} and {run.folder} are both {run.label!r} with seed {run.seed}",
                remedy="leave one out, or give one a --label of its own when it is made",
            )


def _unlike(runs: Sequence[Run]) -> tuple[str, ...]:
    """What is not the same in all runs of what a comparison of methods keeps, each with its values."""
    chosen = [run.header["task"].get("local", {}).get("hyperparameters", {}) for run in runs]  # else the bundle's own
    settings: dict[str, list[object]] = {
        "devices": [run.header["scenario"]["devices"] for run in runs],
        **{name: [run.header["scenario"]["data"].get(name) for run in runs] for name in _OF_DATA},
        "rounds": [run.header["task"]["rounds"] for run in runs],
        "local epochs": [run.header["task"].get("local", {}).get("epochs") for run in runs],
        **{name: [own.get(name) for own in chosen] for name in sorted({name for own in chosen for name in own})},
        "test examples": [run.header["test_examples"] for run in runs],
    }
    return tuple(
        f"{name} ({', '.join(map(str, dict.fromkeys(values)))})"
        for name, values in settings.items()
        if len(set(values)) > 1
    )


def spread(values: Sequence[float]) -> SeedSpread:
    """Of at least one value."""
    array = np.array(values, np.float64)
    return SeedSpread(round(float(array.mean()), 12), round(float(array.std()), 12), tuple(map(float, values)))


def percent(figure: SeedSpread, *, sign: bool = False) -> str:
    """ "48.1 ± 0.9", in percent (or percentage points, with a sign); no spread for a single value."""
    if math.isnan(figure.mean):
        return "–"
    text = f"{100 * figure.mean:{'+' if sign else ''}.1f}"
    return f"{text} ± {100 * figure.deviation:.1f}" if len(figure.values) > 1 else text


def class_names(run: Run) -> list[str]:
    """The names of the model's classes; their numbers where it declares none, as in runs of before."""
    return run.header.get("class_names") or [str(label) for label in range(len(run.header["class_counts"]))]


def switch_round(run: Run) -> int:
    """The last round before re-labeling starts (or would start, by the task's settings)."""
    task = run.header["task"]
    start = task["relabel"]["start"]
    first = start if isinstance(start, int) else int(start * task["rounds"]) + 1
    return min(max(first - 1, 0), len(run.rounds) - 1)


def curve(run: Run, group: str) -> list[float]:
    """Accuracy of a group at every round, from round 0; NaN where the group has no classes."""
    return [_number(result["accuracy"][group]) for result in run.rounds]


def as_json(report: Report) -> dict[str, Any]:
    """The report's figures as plain values, for `--json` and report.json."""
    return {
        "arms": [
            {
                "label": arm.label,
                "seeds": [run.seed for run in arm.runs],
                "accuracy": {group: _plain(figure) for group, figure in arm.accuracy.items()},
                "per_class": [_plain(figure) for figure in arm.per_class],
                "final_sha256": [run.summary["final_sha256"] for run in arm.runs],
            }
            for arm in report.arms
        ],
        "unlike": list(report.unlike),
        "gains": {group: _plain(figure) for group, figure in report.gains.items()} if report.gains else None,
        "fleet": {
            "assigned": report.fleet.assigned,
            "updates": report.fleet.updates,
            "events": report.fleet.events,
            "bytes_down": report.fleet.bytes_down,
            "bytes_up": report.fleet.bytes_up,
            "turns_per_device": report.fleet.devices_by_updates,
            "virtual_seconds": report.fleet.virtual_seconds,
        },
    }


def _arm(label: str, runs: list[Run]) -> Arm:
    final = [run.rounds[-1]["accuracy"] for run in runs]
    before = [run.rounds[switch_round(run)]["accuracy"]["per_class"] for run in runs]
    return Arm(
        label,
        tuple(runs),
        {group: spread([_number(accuracy[group]) for accuracy in final]) for group in GROUPS},
        _by_class([accuracy["per_class"] for accuracy in final]),
        _by_class(before),
    )


def _by_class(rows: list[list[float | None]]) -> tuple[SeedSpread, ...]:
    return tuple(spread([_number(value) for value in column]) for column in zip(*rows, strict=True))


def _gains(first: Arm, last: Arm) -> dict[str, SeedSpread] | None:
    """Differences over the seeds that both arms have."""
    pairs = [
        (run.rounds[-1]["accuracy"], other.rounds[-1]["accuracy"])
        for run in first.runs
        for other in last.runs
        if run.seed == other.seed
    ]
    if not pairs:
        return None
    return {group: spread([_number(b[group]) - _number(a[group]) for a, b in pairs]) for group in GROUPS}


def _fleet(runs: Sequence[Run]) -> FleetFigures:
    events: Counter[str] = Counter()
    updates: Counter[tuple[int, int]] = Counter()
    bytes_down = bytes_up = 0
    for number, run in enumerate(runs):
        for event in run.events:
            name = event["event"]
            events[f"{name}: {event['code']}" if event.get("code") else name] += 1
            bytes_down += event.get("bytes_down", 0)
            bytes_up += event.get("bytes_up", 0)
            updates[number, event["device"]] += name == "update"
    for number, run in enumerate(runs):
        for device in range(run.header["scenario"]["devices"]):
            updates[number, device] += 0
    return FleetFigures(
        assigned=events.pop("assigned", 0),
        updates=events.pop("update", 0),
        events=dict(sorted(events.items())),
        bytes_down=bytes_down,
        bytes_up=bytes_up,
        devices_by_updates=dict(sorted(Counter(updates.values()).items())),
        virtual_seconds=max(run.rounds[-1]["t"] for run in runs),
    )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _plain(figure: SeedSpread) -> dict[str, Any]:
    def finite(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "mean": finite(figure.mean),
        "deviation": finite(figure.deviation),
        "values": [finite(value) for value in figure.values],
    }

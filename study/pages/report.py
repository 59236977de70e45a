"""From finished cells to comparisons: means over seeds, and what re-labeling changed, pair by pair. Pure.

compared = compare(results.read(path).values())
compared[0].difference["few"].mean
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fedrela.study.methods import METHODS
from fedrela.study.pages.comparison import Difference, Spread, paired, spread
from fedrela.study.runs.cells import branch_settings
from fedrela.study.runs.result_files import Row

METRICS = ("overall", "many", "medium", "few", "balanced", "worst", "macro_f1", "ece", "nll")
SHARES = ("overall", "many", "medium", "few", "balanced", "worst", "macro_f1", "ece")  # shown in percent
REFERENCES = {
    "centralised": "Pooled data, cross-entropy (PyTorch)",
    "centralised-balanced": "Pooled data, balanced softmax (PyTorch)",
}


@dataclass(frozen=True)
class Comparison:
    """One method in one setting under one variant: before, labels kept, re-labeled; over the seeds that have all."""

    study: dict[str, Any]  # what cells share besides method, variant and seed
    method: str
    variant: dict[str, Any]
    start: int
    seeds: tuple[int, ...]
    before: dict[str, Spread]
    kept: dict[str, Spread]
    relabeled: dict[str, Spread]
    difference: dict[str, Difference]
    kept_per_class: tuple[float, ...]
    relabeled_per_class: tuple[float, ...]
    samples: float  # of all devices, mean over seeds
    moved: float
    moved_to_rarer: float
    moved_many_to_few: float
    bytes_up: float  # of the branch; NaN where the study's own loop trained it
    bytes_down: float
    kept_by_seed: dict[int, dict[str, float]]
    relabeled_by_seed: dict[int, dict[str, float]]
    groups: tuple[tuple[int, ...], ...]
    class_counts: tuple[int, ...]
    absent: float

    @property
    def setting(self) -> str:
        """The setting's name."""
        return str(self.study["setting"]["name"])

    @property
    def title(self) -> str:
        """The method's full name."""
        return METHODS[self.method].title


@dataclass(frozen=True)
class ReferenceResult:
    """Training on the pooled data, over its seeds."""

    study: dict[str, Any]
    name: str
    seeds: tuple[int, ...]
    measured: dict[str, Spread]
    by_seed: dict[int, dict[str, float]]


def compare(rows: Iterable[Row]) -> list[Comparison]:
    """Every method, setting and variant for which a seed has all three arms, in the order of the rows."""
    arms: dict[str, dict[str, dict[int, Row]]] = defaultdict(lambda: defaultdict(dict))
    variants: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["arm"] == "reference":
            continue
        group_key = _name(_shared(row), row["method"], row["start"])
        arm = row["arm"]
        if arm != "trunk":
            settings = branch_settings(arm, row["variant"])
            known = [branch_settings("relabeled", variant) for variant in variants[group_key]]
            if arm == "relabeled" and settings not in known:
                variants[group_key].append(row["variant"])
            arm = _name(arm, row["training"], settings)
        arms[group_key][arm][row["seed"]] = row
    compared = []
    for group_key, of_group in variants.items():
        for variant in of_group:
            comparison = _comparison(arms[group_key], variant)
            if comparison is not None:
                compared.append(comparison)
    return compared


def references(rows: Iterable[Row]) -> list[ReferenceResult]:
    """Every reference per setting."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row["arm"] == "reference":
            groups[_name(_shared(row), row["training"]["rounds"], row["method"])].append(row)
    return [
        ReferenceResult(
            _shared(group[0]), group[0]["method"], tuple(row["seed"] for row in group), _spreads(group), _by_seed(group)
        )
        for group in groups.values()
    ]


def gap(
    item: Comparison, ceiling: dict[int, dict[str, float]], metric: str
) -> tuple[tuple[int, ...], float, float] | None:
    """How far kept and re-labeled lie below `ceiling` (by seed), over the seeds that both have; None if none."""
    seeds = tuple(sorted(set(item.seeds) & set(ceiling)))
    if not seeds:
        return None
    top = spread([ceiling[seed][metric] for seed in seeds]).mean
    kept, moved = (
        spread([arm[seed][metric] for seed in seeds]).mean for arm in (item.kept_by_seed, item.relabeled_by_seed)
    )
    return seeds, top - kept, top - moved


def kept_by_seed(rows: Iterable[Row], item: Comparison, method: str) -> dict[int, dict[str, float]]:
    """Where another method ends without re-labels, where all else is as in `item`; by seed, none if it did not run."""
    same = [
        row
        for row in rows
        if row["arm"] == "kept"
        and (row["method"], row["start"]) == (method, item.start)
        and branch_settings("kept", row["variant"]) == branch_settings("kept", item.variant)
        and _shared(row) | {"rounds": row["training"]["rounds"]} == item.study
    ]
    return _by_seed(same)


def _comparison(arms: dict[str, dict[int, Row]], variant: dict[str, Any]) -> Comparison | None:
    for name, rows in arms.items():
        if not name.startswith('["relabeled"') or branch_settings("relabeled", variant) != json.loads(name)[2]:
            continue
        training = json.loads(name)[1]
        kept_rows = arms.get(_name("kept", training, branch_settings("kept", variant)), {})
        seeds = sorted(set(rows) & set(kept_rows) & set(arms.get("trunk", {})))
        if seeds:
            return _average([arms["trunk"][s] for s in seeds], [kept_rows[s] for s in seeds], [rows[s] for s in seeds])
    return None


def _average(trunk: list[Row], kept: list[Row], relabeled: list[Row]) -> Comparison:
    first = relabeled[0]

    def mean(name: str) -> float:
        return spread([row["moved"][name] for row in relabeled]).mean

    return Comparison(
        study=_shared(first) | {"rounds": first["training"]["rounds"]},
        method=first["method"],
        variant=first["variant"],
        start=first["start"],
        seeds=tuple(row["seed"] for row in relabeled),
        before=_spreads(trunk),
        kept=_spreads(kept),
        relabeled=_spreads(relabeled),
        difference={name: paired(_values(kept, name), _values(relabeled, name)) for name in METRICS},
        kept_per_class=_per_class(kept),
        relabeled_per_class=_per_class(relabeled),
        samples=mean("samples"),
        moved=mean("relabeled"),
        moved_to_rarer=mean("to_rarer"),
        moved_many_to_few=mean("many_to_few"),
        bytes_up=spread([row.get("bytes_up", math.nan) for row in relabeled]).mean,
        bytes_down=spread([row.get("bytes_down", math.nan) for row in relabeled]).mean,
        kept_by_seed=_by_seed(kept),
        relabeled_by_seed=_by_seed(relabeled),
        groups=tuple(tuple(group) for group in first["groups"]),
        class_counts=tuple(first["class_counts"]),
        absent=spread([row["classes_absent_per_device"] for row in relabeled]).mean,
    )


def _shared(row: Row) -> dict[str, Any]:
    """What two rows must share to be in one table."""
    training = {name: value for name, value in row["training"].items() if name != "rounds"}
    return {name: row[name] for name in ("data", "data_sha256", "model", "setting")} | {"training": training}


def _name(*parts: Any) -> str:
    return json.dumps(parts, sort_keys=True, ensure_ascii=False)


def _values(rows: list[Row], metric: str) -> list[float]:
    values = [row["measured"][metric] for row in rows]
    return [math.nan if value is None else value for value in values]


def _by_seed(rows: list[Row]) -> dict[int, dict[str, float]]:
    return {row["seed"]: {name: _values([row], name)[0] for name in METRICS} for row in rows}


def _spreads(rows: list[Row]) -> dict[str, Spread]:
    return {name: spread(_values(rows, name)) for name in METRICS}


def _per_class(rows: list[Row]) -> tuple[float, ...]:
    """Mean recall per class; NaN for a class without a test sample."""
    table = [[math.nan if value is None else value for value in row["measured"]["per_class"]] for row in rows]
    return tuple(sum(column) / len(column) for column in zip(*table, strict=True))

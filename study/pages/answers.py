"""The first thing on the page: how close to pooled data, on what, at which price.

found = near(studies, names)
sentences(found), table(found)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fedrela.study.pages import tables
from fedrela.study.pages.comparison import Difference, paired, spread
from fedrela.study.pages.evidence import Evidence
from fedrela.study.pages.report import Comparison
from fedrela.study.pages.tables import Table

POOLED, BALANCED = "centralised", "centralised-balanced"
PLAIN, OURS = "FedAvg", "FedAvg + FedReLa"
TOP, TOP_BALANCED = "Pooled, cross-entropy", "Pooled, balanced"
DEFAULT = "FedReLa"
Levels = Mapping[int, Mapping[str, float]]  # seed -> metric -> value


@dataclass(frozen=True)
class Near:
    """Plain and re-labeled FedAvg beside what the pooled data give, over the seeds that all of them have."""

    item: Comparison
    seeds: tuple[int, ...]
    arms: dict[str, Levels]  # PLAIN, OURS, TOP and, where it has run, TOP_BALANCED

    def level(self, arm: str, metric: str) -> float:
        """Mean share over the seeds."""
        return spread([self.arms[arm][seed][metric] for seed in self.seeds]).mean

    def change(self, metric: str) -> Difference:
        """What re-labels changed, over the same seeds."""
        plain, ours = ([self.arms[arm][seed][metric] for seed in self.seeds] for arm in (PLAIN, OURS))
        return paired(plain, ours)

    @property
    def way(self) -> float | None:
        """Which share of the distance from FedAvg to pooled cross-entropy re-labels go; None where there is none."""
        before, after, top = (self.level(arm, "overall") for arm in (PLAIN, OURS, TOP))
        return (after - before) / (top - before) if top > before else None

    @property
    def behind(self) -> float | None:
        """How far pooled balanced training is ahead of re-labels; None where it hasn't run."""
        return self.level(TOP_BALANCED, "overall") - self.level(OURS, "overall") if TOP_BALANCED in self.arms else None

    @property
    def place(self) -> str:
        """Data, setting, rounds."""
        return f"{self.item.study['data']}, {self.item.setting}, {self.item.study['rounds']} rounds"


def sentences(found: Sequence[Near]) -> str:
    """How close, what is still ahead, and at which price: the smallest and the largest of all places."""
    ways: dict[str, list[float]] = {}
    for item in found:
        if item.way is not None:
            ways.setdefault(item.item.study["data"], []).append(100 * item.way)
    behind = [item.behind for item in found if item.behind is not None]
    few, many = ([item.change(metric).mean for item in found] for metric in ("few", "many"))
    told = []
    if ways:
        shares = " and ".join(f"{_range(shares, '.0f')} % on {data}" for data, shares in ways.items())
        told.append(
            "With every label on its device, re-labels close the distance from FedAvg to training on the pooled data "
            f"by {shares}."
        )
    if behind:
        ahead = _range([100 * one for one in behind], ".1f")
        told.append(
            f"Pooled training with balanced softmax, which knows the class counts too, is {ahead} points ahead of them."
        )
    told.append(
        f"The rarest 30 % of the classes change by {_points(few)} points of recall, and the price is {_points(many)} "
        "points of the most common 30 %."
    )
    return " ".join(told)


def table(found: Sequence[Near]) -> Table:
    """Place by place, with the seeds that all of it has."""
    rows = []
    for item in found:
        levels = (
            f"{100 * item.level(arm, 'overall'):.1f}" if arm in item.arms else "–"
            for arm in (PLAIN, OURS, TOP, TOP_BALANCED)
        )
        way = "–" if item.way is None else f"{100 * item.way:.0f} %"
        changes = (tables.points(item.change(metric)) for metric in ("few", "many"))
        rows.append((item.place, ", ".join(map(str, item.seeds)), *levels, way, *changes))
    heading = ("where", "seeds", PLAIN, OURS, "pooled", "pooled, balanced", "of the way", "Δ few", "Δ many")
    return Table("", heading, tuple(rows), left=2)


def _points(shares: Sequence[float]) -> str:
    return _range([100 * share for share in shares], "+.1f")


def _range(values: Sequence[float], form: str) -> str:
    ends = [f"{value:{form}}" for value in (min(values), max(values))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def near(studies: Mapping[str, Evidence], names: Iterable[str]) -> list[Near]:
    """Of these studies every setting whose pooled reference has run with a seed of FedAvg, in this order."""
    answers = []
    for name in names:
        for item in studies[name].compared:
            if item.method == "fedavg" and item.variant["name"] == DEFAULT:
                answers += _near(item, studies[name])
    return answers


def _near(item: Comparison, evidence: Evidence) -> list[Near]:
    arms: dict[str, Levels] = {PLAIN: item.kept_by_seed, OURS: item.relabeled_by_seed}
    same = {one.name: one.by_seed for one in evidence.references if one.study["setting"] == item.study["setting"]}
    if POOLED not in same:
        return []
    arms[TOP] = same[POOLED]
    if set(same.get(BALANCED, ())) >= set(item.seeds) & set(same[POOLED]):
        arms[TOP_BALANCED] = same[BALANCED]
    seeds = tuple(seed for seed in item.seeds if all(seed in levels for levels in arms.values()))
    return [Near(item, seeds, arms)] if seeds else []

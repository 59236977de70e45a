"""The first thing on the page: how close to pooled data, on what, at which price.

near(studies, names)[0].sentence()
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fedrela.study.pages import tables
from fedrela.study.pages.comparison import spread
from fedrela.study.pages.evidence import Evidence
from fedrela.study.pages.report import Comparison

POOLED, BALANCED = "centralised", "centralised-balanced"
DEFAULT = "FedReLa"
Levels = Mapping[int, Mapping[str, float]]  # seed -> metric -> value


@dataclass(frozen=True)
class Near:
    """Plain and re-labeled FedAvg beside what the pooled data give, over the seeds that all of them have."""

    item: Comparison
    seeds: tuple[int, ...]
    arms: dict[str, Levels]  # "FedAvg", "FedAvg + FedReLa" and what of the pooled data has run, in this order

    def level(self, arm: str, metric: str) -> float:
        """Mean share over the seeds."""
        return spread([self.arms[arm][seed][metric] for seed in self.seeds]).mean

    @property
    def place(self) -> str:
        """Data, setting, rounds."""
        return f"{self.item.study['data']}, {self.item.setting}, {self.item.study['rounds']} rounds"

    def sentence(self) -> str:
        """How close, and at which price."""
        plain, ours, *pooled = (f"{100 * self.level(arm, 'overall'):.1f} %" for arm in self.arms)
        before, after, top, *_ = (self.level(arm, "overall") for arm in self.arms)
        names = ("with cross-entropy", "with balanced softmax")
        above = " and ".join(f"{level} {name}" for level, name in zip(pooled, names, strict=False))
        share = f"{100 * (after - before) / (top - before):.0f} % of the way" if top > before else "all of the way"
        seeds = f"seed{'s' if len(self.seeds) > 1 else ''} {', '.join(map(str, self.seeds))}"
        gain, price = (tables.points(self.item.difference[name]) for name in ("few", "many"))
        return (
            f"**{self.place}** ({seeds}): with every label on its device FedAvg reaches {plain} and FedReLa {ours}; "
            f"the pooled data give {above}. So re-labels go {share} from FedAvg to pooled cross-entropy. "
            f"The few change by {gain} points, and the price is {price} points of the many."
        )


def near(studies: Mapping[str, Evidence], names: Iterable[str]) -> list[Near]:
    """Of these studies every setting whose pooled reference has run with a seed of FedAvg, in this order."""
    answers = []
    for name in names:
        for item in studies[name].compared:
            if item.method == "fedavg" and item.variant["name"] == DEFAULT:
                answers += _near(item, studies[name])
    return answers


def _near(item: Comparison, evidence: Evidence) -> list[Near]:
    arms: dict[str, Levels] = {"FedAvg": item.kept_by_seed, "FedAvg + FedReLa": item.relabeled_by_seed}
    same = {one.name: one.by_seed for one in evidence.references if one.study["setting"] == item.study["setting"]}
    if POOLED not in same:
        return []
    arms["Pooled, cross-entropy"] = same[POOLED]
    if set(same.get(BALANCED, ())) >= set(item.seeds) & set(same[POOLED]):
        arms["Pooled, balanced"] = same[BALANCED]
    seeds = tuple(seed for seed in item.seeds if all(seed in levels for levels in arms.values()))
    return [Near(item, seeds, arms)] if seeds else []

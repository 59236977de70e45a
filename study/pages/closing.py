"""What else a branch can do from the same trunk: which share of the distance to the pooled data it closes, and where it
hurts.

table(evidence)
"""

from collections.abc import Iterable, Mapping

from fedrela.study.pages import tables
from fedrela.study.pages.answers import POOLED
from fedrela.study.pages.comparison import Difference, paired
from fedrela.study.pages.evidence import Evidence
from fedrela.study.pages.report import Comparison, ReferenceResult, gap
from fedrela.study.pages.tables import Table

_SHOWN = ("overall", "many", "medium", "few")


def table(evidence: Evidence) -> Table:
    """A line for each setting and variant; where plain FedReLa ran by the same loop, the difference to it too."""
    compared, references = evidence.compared, evidence.references
    lines = tuple(
        (
            item.setting,
            item.variant["name"],
            ", ".join(map(str, item.seeds)),
            *(tables.points(item.difference[name]) for name in _SHOWN),
            _closed(item, references),
            _beside(item, compared),
        )
        for item in compared
    )
    heading = ("setting", "what the branch does", "seeds", *(f"Δ {name}" for name in _SHOWN))
    return Table("", (*heading, "of the distance to pooled", "Δ balanced to FedReLa's"), lines, left=3)


def _closed(item: Comparison, references: list[ReferenceResult]) -> str:
    """Which share of the way from FedAvg to pooled cross-entropy, overall, over the seeds that both have."""
    same = [one for one in references if one.name == POOLED and one.study["setting"] == item.study["setting"]]
    lags = gap(item, same[0].by_seed, "overall") if same else None
    if lags is None or lags[1] <= 0:
        return "–"
    return f"{100 * (lags[1] - lags[2]) / lags[1]:.0f} %"


def beside(item: Comparison, compared: list[Comparison], metric: str) -> dict[int, tuple[float, float]]:
    """By seed, a metric of FedReLa's branch of the same start and loop, and of `item`'s; empty for FedReLa itself."""
    plain = [
        one
        for one in compared
        if is_plain(one)
        and (one.study, one.method, one.start) == (item.study, item.method, item.start)
        and _loop(one.variant) == _loop(item.variant)
    ]
    if not plain or plain[0] is item:
        return {}
    first, second = plain[0].relabeled_by_seed, item.relabeled_by_seed
    return {seed: (first[seed][metric], second[seed][metric]) for seed in sorted(set(first) & set(second))}


def _beside(item: Comparison, compared: list[Comparison]) -> str:
    pairs = beside(item, compared, "balanced").values()
    return tables.points(difference(pairs)) if pairs else "–"


def difference(pairs: Iterable[tuple[float, float]]) -> Difference:
    """Of what `beside` gives: how far the second lie above the first."""
    plain, other = zip(*pairs, strict=True)
    return paired(plain, other)


def is_plain(item: Comparison) -> bool:
    """Whether it is FedReLa as the product has it, by whichever loop."""
    treatment = item.variant.get("treatment")
    changed = set(treatment) - {"after"} if isinstance(treatment, Mapping) else set()
    return not changed and not item.variant["period"]


def _loop(variant: Mapping[str, object]) -> object:
    """Whose loop, and from which round on: what two branches share that differ in their treatment alone."""
    treatment = variant.get("treatment")
    return treatment.get("after", 0) if isinstance(treatment, Mapping) else None

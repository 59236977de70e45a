"""The sections of docs/study.md, each from the evidence that answers its question."""

import math
from collections.abc import Callable, Iterable, Sequence

from fedrela.study.pages import closing as gap_closing
from fedrela.study.pages import confirmation, people, report, tables
from fedrela.study.pages import text as prose
from fedrela.study.pages.comparison import pool, spread
from fedrela.study.pages.evidence import Evidence
from fedrela.study.pages.report import Comparison
from fedrela.study.pages.tables import Table

Studies = dict[str, Evidence]
WORDS = {"overall": "overall accuracy", "few": "the few", "medium": "the medium", "many": "the many"}
WORDS |= {"ece": "calibration error"}
NOTHING = "No comparison has all of its branches yet."
DEFAULT = "FedReLa"  # the name of the variant with default settings in every shipped study


def answer(studies: Studies, headline: str) -> list[str]:
    """The one sentence that a reader came for, or that it can't be said yet."""
    plain = [item for item in studies[headline].compared if item.method == "fedavg"]
    if not plain:
        return [f"**The setting to judge by has not run yet**: `{studies[headline].command}`."]
    return [_sentence(item) for item in plain]


def _sentence(item: Comparison) -> str:
    gains = ", ".join(f"{WORDS[name]} {tables.points(item.difference[name])}" for name in ("overall", "few", "many"))
    seeds = "seed" if len(item.seeds) == 1 else "mean over seeds"
    return f"**{item.study['data']}, {item.setting}: with re-labels, {gains} points** ({seeds} {_seeds(item.seeds)})."


def arms(evidence: Evidence) -> list[str]:
    """Before, kept and re-labeled of plain federated averaging, setting by setting."""
    parts = []
    for item in evidence.compared:
        if item.method == "fedavg" and item.variant["name"] == DEFAULT:
            table = tables.arms(item)
            parts += [f"{table.title}:", table.markdown()]
    more = evidence.references or any(item.method != "fedavg" for item in evidence.compared)
    return [*parts, *differences(evidence)] if more or not parts else parts


def differences(evidence: Evidence) -> list[str]:
    """What re-labeling changed, all of it, and where each method ends."""
    compared = evidence.compared
    parts = ["What re-labeling changed:", tables.differences(compared).markdown()] if compared else []
    levels = tables.levels(compared, evidence.references)
    return [*parts, "Where each method ends:", levels.markdown()] if levels.rows else [NOTHING]


def of_people(evidence: Evidence) -> list[str]:
    """Recalls of people never trained on, and what re-labeling changed fold by fold."""
    table = people.table(evidence.rows)
    return ([f"{table.title}:", table.markdown()] if table else []) + differences(evidence)


def closing(evidence: Evidence) -> list[str]:
    """What else a branch can do, and how far it gets."""
    return [gap_closing.table(evidence).markdown()] if evidence.compared else [NOTHING]


def candidate(gap: Evidence) -> list[str]:
    """What the rule chose, once everything that it chooses from has run."""
    if not gap.complete:
        return []
    name = confirmation.choose(gap.compared)
    return [f"The candidate is **{name}**." if name else "By this rule there is no candidate: nothing is changed."]


def changes(evidence: Evidence) -> list[str]:
    """What re-labeling changed, all of it."""
    return [tables.differences(evidence.compared).markdown()] if evidence.compared else [NOTHING]


def of(names: Iterable[str], studies: Studies, show: Callable[[Evidence], list[str]]) -> list[str]:
    """Each study with its settings, its command, what is missing, and what `show` makes of it."""
    parts = []
    for name in names:
        evidence = studies[name]
        parts.append(f"### {evidence.title}")
        if evidence.rows:
            parts += [_settings(evidence), *show(evidence)]
        else:
            parts.append(f"Has not run: `{evidence.command}`.")
    return parts


def gaps(studies: Studies) -> list[str]:
    """How far plain and re-labeled FedAvg lie below what sees more, over the seeds that both have."""
    rows: list[tuple[str, ...]] = []
    lost: list[tuple[str, str]] = []
    for evidence in studies.values():
        for item in evidence.compared:
            if item.method != "fedavg" or item.variant["name"] != DEFAULT:
                continue
            of_item = [row for label, top in _ceilings(item, evidence) if (row := _gap(item, label, top))]
            rows += [row for row in of_item if row not in rows]
            place = (f"{item.study['data']}, {item.study['model']['name']}", item.setting)
            if not of_item and place not in lost:
                lost.append(place)
    heading = ("data, model", "setting", "what sees more", "seeds of both")
    ahead = ("ahead overall", "with FedReLa", "ahead on the few", "with FedReLa")
    parts = [Table("", (*heading, *ahead), tuple(rows), 4).markdown()] if rows else []
    shown = {(data, setting) for data, setting, *_ in rows}  # by another study, perhaps
    left = [", ".join(place) for place in lost if place not in shown]
    missing = [f"Nothing that sees more has run for: {'; '.join(left)}."] if left else []
    return [*parts, *missing]


def _gap(item: Comparison, label: str, top: dict[int, dict[str, float]]) -> tuple[str, ...] | None:
    overall, few = (report.gap(item, top, metric) for metric in ("overall", "few"))
    if overall is None or few is None:
        return None
    lags = (overall[1], overall[2], few[1], few[2])
    return (
        f"{item.study['data']}, {item.study['model']['name']}",
        item.setting,
        label,
        _seeds(overall[0]),
        *map(tables.signed, lags),
    )


def _ceilings(item: Comparison, evidence: Evidence) -> list[tuple[str, dict[int, dict[str, float]]]]:
    references = [
        (report.REFERENCES[one.name], one.by_seed)
        for one in evidence.references
        if one.study["setting"] == item.study["setting"]
    ]
    kept = report.kept_by_seed(evidence.rows, item, "oracle")
    return [*references, ("federated oracle, global class counts", kept)] if kept else references


def cost(compared: Sequence[Comparison]) -> list[str]:
    """What helped and what it cost, counted."""
    lines = []
    for metric in ("overall", "few", "medium", "many", "ece"):
        measured = [change for item in compared if not math.isnan((change := item.difference[metric]).mean)]
        if measured:
            up, sure_up = sum(change.mean > 0 for change in measured), sum(change.low > 0 for change in measured)
            sure_down, sure = sum(change.high < 0 for change in measured), sum(change.count > 1 for change in measured)
            mean = tables.signed(spread([change.mean for change in measured]).mean)
            pooled = pool(measured)
            if not math.isnan(pooled.low):
                mean += f" points in the mean, {tables.points(pooled)} over the {pooled.count} with several seeds"
            else:
                mean += " points in the mean"
            lines.append(
                f"- {WORDS[metric]}: {mean}; higher with re-labels in {up} of {len(measured)} "
                f"comparisons; of the {sure} with an interval, surely higher in {sure_up}, surely lower in {sure_down}."
            )
    dear = [item for item in compared if item.difference["many"].mean < 0]
    if dear:
        worst = min(dear, key=lambda item: item.difference["many"].mean)
        price = tables.points(worst.difference["many"])
        lines.append(f"- The largest price of common classes: {price} points for the many ({_place(worst)}).")
    return ["\n".join(lines)] if lines else []


def moves(studies: Studies) -> list[str]:
    """How many labels moved in each comparison, and which way."""
    parts = [(item.title, tables.movements(item.compared).markdown()) for item in studies.values() if item.compared]
    return [prose.MOVES, *(text for title, table in parts for text in (f"{title}:", table))] if parts else []


def losers(compared: Sequence[Comparison]) -> list[str]:
    """Where overall accuracy fell, each of them."""
    fell = [item for item in compared if item.difference["overall"].mean < 0]
    if not fell:
        return ["Overall accuracy fell in no comparison on this page."] if compared else []
    lines = [f"- {_place(item)}: {tables.points(item.difference['overall'])}" for item in fell]
    return ["Overall accuracy fell, in points, with:", "\n".join(lines)]


def ran(studies: Studies) -> list[str]:
    """Which cells ran, of every shipped study: also of those that did not run at all."""
    lines = tuple((f"`{item.command}`", item.title, f"{len(item.rows)} of {item.cells}") for item in studies.values())
    return [Table("", ("command", "what", "cells that ran"), lines, left=2).markdown()]


def _settings(evidence: Evidence) -> str:
    first = evidence.rows[0]
    training, model = first["training"], first["model"]
    augment = f", augmentation {' + '.join(model['augment'])}" if model["augment"] else ""
    partly = "" if evidence.complete else f" **Incomplete: {len(evidence.rows)} of {evidence.cells} cells ran.**"
    return (
        f"{first['data']}, {model['name']}{augment}; {training['rounds']} rounds, {training['epochs']} local epochs, "
        f"batch {training['batch_size']}, learning rate {training['lr']:g}, momentum {training['momentum']:g}; "
        f"{first['setting']['devices']} devices; {first['test_examples']} test samples. "
        f"Command: `{evidence.command}`.{partly}"
    )


def _place(item: Comparison) -> str:
    seeds = f"seed{'s' if len(item.seeds) > 1 else ''} {_seeds(item.seeds)}"
    return f"{item.title}, {item.variant['name']}; {item.study['data']}, {item.setting}, {seeds}"


def _seeds(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))

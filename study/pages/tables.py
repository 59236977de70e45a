"""Comparisons as text: cells such as "48.6 ± 0.9", and whole tables for a terminal, Markdown or HTML.

>>> share(Spread(0.486, 0.009, 3))
'48.6 ± 0.9'
>>> points(Difference(0.05, 0.025, 0.075, 3))
'+5.0 [+2.5, +7.5]'
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable

from fedrela.study.pages.comparison import Difference, Spread
from fedrela.study.pages.report import REFERENCES, Comparison, ReferenceResult

SHOWN = ("overall", "many", "medium", "few")


@dataclass(frozen=True)
class Table:
    """A heading row and rows of text; the first `left` columns are words, the others numbers."""

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1

    def markdown(self) -> str:
        """A Markdown table."""
        rules = ["---" if index < self.left else "---:" for index in range(len(self.heading))]
        return "\n".join("| " + " | ".join(row) + " |" for row in (self.heading, rules, *self.rows))

    def rich(self) -> RichTable:
        """For a terminal."""
        table = RichTable(title=self.title, title_justify="left")
        for index, name in enumerate(self.heading):
            table.add_column(name, justify="left" if index < self.left else "right")
        for row in self.rows:
            table.add_row(*row)
        return table


def share(value: Spread) -> str:
    """Percent with the standard deviation over seeds, if there is more than one."""
    if math.isnan(value.mean):
        return "–"
    text = f"{100 * value.mean:.1f}"
    return text if math.isnan(value.deviation) else f"{text} ± {100 * value.deviation:.1f}"


def points(value: Difference) -> str:
    """Percentage points with the 95 % interval, if there is more than one seed."""
    text = signed(value.mean)
    return text if math.isnan(value.low) else f"{text} [{signed(value.low)}, {signed(value.high)}]"


def signed(value: float) -> str:
    """Percentage points with their sign; a dash for what was not measured."""
    return "–" if math.isnan(value) else f"{100 * value:+.1f}"


def arms(compared: Comparison) -> Table:
    """Before, labels kept, re-labeled and the paired difference of one comparison."""
    label = "labels kept" if compared.method == "fedavg" else f"{compared.title}, labels kept"
    rows = (
        (f"round {compared.start}, before", *(share(compared.before[name]) for name in SHOWN)),
        (f"round {compared.study['rounds']}, {label}", *(share(compared.kept[name]) for name in SHOWN)),
        (
            f"round {compared.study['rounds']}, re-labeled ({compared.moved:.0f} of {compared.samples:.0f})",
            *(share(compared.relabeled[name]) for name in SHOWN),
        ),
        ("difference, paired", *(points(compared.difference[name]) for name in SHOWN)),
    )
    seeds = ", ".join(map(str, compared.seeds))
    title = f"{compared.study['data']}, {compared.setting}, {compared.title}, seeds {seeds}"
    return Table(title, ("branch", *SHOWN), rows)


def differences(compared: Sequence[Comparison]) -> Table:
    """What re-labeling changed, per setting, method and variant; nothing left out."""
    rows = tuple(
        (
            item.setting,
            item.title,
            item.variant["name"],
            ", ".join(map(str, item.seeds)),
            share(item.kept["overall"]),
            share(item.kept["few"]),
            *(points(item.difference[name]) for name in (*SHOWN, "ece")),
        )
        for item in compared
    )
    heading = ("setting", "method", "variant", "seeds", "overall kept", "few kept")
    return Table("What re-labeling changed", (*heading, *(f"Δ {name}" for name in (*SHOWN, "ece"))), rows, left=4)


def levels(compared: Sequence[Comparison], references: Sequence[ReferenceResult]) -> Table:
    """Where every method ends, beside what sees the pooled data or the global counts."""
    rows = []
    shown = ("overall", "many", "medium", "few", "worst", "macro_f1", "ece")
    for item in compared:
        for name, arm in (("", item.kept), (" + " + item.variant["name"], item.relabeled)):
            seeds = ", ".join(map(str, item.seeds))
            row = (item.setting, item.title + name, seeds, *(share(arm[metric]) for metric in shown))
            if row not in rows:
                rows.append(row)
    for reference in references:
        seeds = ", ".join(map(str, sorted(reference.seeds)))
        known = (reference.study["setting"]["name"], REFERENCES[reference.name], seeds)
        rows.append((*known, *(share(reference.measured[metric]) for metric in shown)))
    rows.sort(key=lambda row: row[0])
    return Table("Where each method ends", ("setting", "method", "seeds", *shown), tuple(rows), left=3)


def movements(compared: Sequence[Comparison]) -> Table:
    """How many labels moved, and which way."""
    rows = tuple(
        (
            item.setting,
            item.title,
            item.variant["name"],
            ", ".join(map(str, item.seeds)),
            f"{item.moved:.0f} of {item.samples:.0f}",
            f"{100 * item.moved_to_rarer / item.moved:.0f} %" if item.moved else "–",
            f"{item.moved_many_to_few:.0f}",
            f"{item.absent:.1f}",
            "–" if math.isnan(item.bytes_up) else f"{(item.bytes_up + item.bytes_down) / 1e6:.1f}",
        )
        for item in compared
    )
    heading = ("setting", "method", "variant", "seeds", "re-labeled", "to a class rarer in all", "many → few")
    return Table("Which way labels moved", (*heading, "classes absent per device", "MB in the branch"), rows, left=4)

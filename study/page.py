"""`python -m study.page` writes docs/study.md from study/results/*.jsonl: every number on that page comes from there.

A results file is named after the shipped study that made it; cells of that study that are not in the file are counted
on the page as not run. May import this package.
"""

import argparse
import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from study import config, report, results, tables
from study.cells import expand
from study.comparison import spread
from study.report import Comparison, Reference
from study.results import Row
from study.tables import Table

ROOT = Path(__file__).parents[1]
INTRODUCTION = """# The long-tail study

Does FedReLa help, how much, against what else, and when does it not? This page is written by
`python -m study.page` from the JSON lines in `study/results/`; no number here was typed by hand.

Each comparison trains a *trunk* through the emulated fleet: real clients, exported programs, the real coordinator.
From its checkpoint two branches go on with the same, smaller learning rate and the same random numbers; one keeps its
labels, one re-labels in its first round. Server momentum starts at zero in both. Tests are on a balanced test set.
*many*, *medium* and *few* are the most frequent 30 %, the middle 40 % and the rarest 30 % of the classes.
Shares are percent, mean ± standard deviation over seeds; Δ is re-labeled minus labels kept, paired by seed, in
percentage points with a 95 % interval of Student's t, where there are two seeds or more. Two or three seeds give wide
intervals: an interval that holds 0 is no evidence of a difference, and none of its absence either.
"""
USE = """## On your own data

```toml
# mine.toml
name = "mine"
seeds = [1, 2, 3]
methods = ["fedavg", "balanced-softmax", "smote"]
references = ["centralised", "centralised-balanced"]

[data]
name = "my images"
path = "images"                 # train/<class>/*.png and test/<class>/*.png, a .zip of them, IDX, CIFAR batches, .npz

[model]
build = "my_module:build"       # as for `fedrela export`
input = "uint8:3x32x32"
augment = ["crop", "flip"]

[[setting]]
name = "50:1, α 0.3"
imbalance = 50
alpha = 0.3
```

`fedrela study longtail mine.toml` shows how far it is, appends a line to `runs/study/mine.jsonl` for every finished
cell, and ends with tables, plots and one HTML page. Stop it as you like, with kill -9 too: called again, it goes on
with the next unfinished cell. A cell is named by a hash of all that its result depends on (the pixels included, the
path not), so a cell that two studies share has the same name in both. `--seed` and `--method` run a part; the parts
add up. A model is known by the name of its function: change the name when you change the model.

When not to use it: where devices hold nearly balanced classes, there is nothing to move; where head classes must not
lose any recall, look at Δ many below before anything else; where the model is still poor on all classes, its opinion
of which samples look rare is worth little, so start later. Re-labeling moves a *decision boundary*; it makes no new
information.
"""
WORDS = {"overall": "overall accuracy", "many": "the many", "few": "the few", "ece": "calibration error"}


def write(folder: Path = ROOT / "study" / "results") -> str:
    """The whole page as Markdown."""
    parts = [INTRODUCTION, USE, *_ran(folder)]
    for path in sorted(folder.glob("*.jsonl")):
        rows = list(results.read(path).values())
        parts += _study(path.stem, rows)
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _ran(folder: Path) -> list[str]:
    """Which cells ran, of every shipped study, in whatever file they are: also of those that did not run at all."""
    everything = [row for path in sorted(folder.glob("*.jsonl")) for row in results.read(path).values()]
    found = {_identity(row) for row in everything}
    lines = []
    for name in config.shipped():
        study, _ = config.load(name)
        wanted = {_identity(dataclasses.asdict(cell)) for cell in expand(study, "")}
        done = len(wanted & found)
        lines.append((f"`fedrela study longtail {name}`", study.title, f"{done} of {len(wanted)}"))
    heading = ("command", "what", "cells that ran")
    return ["## What ran, and what did not", Table("", heading, tuple(lines), left=2).markdown()]


def _identity(row: Row) -> str:
    """What tells two cells apart, but for the pixels: a page has no dataset at hand to hash."""
    parts = {name: row[name] for name in ("data", "model", "setting", "method", "arm", "start", "seed")}
    training = dict(row["training"])
    if row["arm"] == "trunk":
        del training["rounds"]
    variant = row["variant"] and {name: row["variant"][name] for name in _variant_settings(row["arm"])}
    return json.dumps(parts | {"training": training, "variant": variant}, sort_keys=True)


def _variant_settings(arm: str) -> tuple[str, ...]:
    return ("lr_scale",) if arm == "kept" else ("threshold_percent", "passes", "lr_scale", "period")


def _study(name: str, rows: Sequence[Row]) -> list[str]:
    compared, references = report.compare(rows), report.references(rows)
    try:
        title = config.load(name)[0].title
    except config.InvalidStudy:
        title = name
    parts = [f"## {title}", _settings(rows)]
    if not compared:
        return [*parts, "No comparison has all of its branches yet."]
    for item in compared:
        if item.method == "fedavg":
            table = tables.arms(item)
            parts += [f"{table.title}, {item.variant['name']}:", table.markdown()]
    parts += ["What re-labeling changed, all comparisons:", tables.differences(compared).markdown()]
    parts += ["Where each method ends:", tables.levels(compared, references).markdown()]
    parts += ["Which way labels moved (devices tell nobody; the study knows):", tables.movements(compared).markdown()]
    return [*parts, *_gaps(compared, references), *_findings(compared)]


def _settings(rows: Sequence[Row]) -> str:
    first = rows[0]
    training, model = first["training"], first["model"]
    augment = f", augmentation {' + '.join(model['augment'])}" if model["augment"] else ""
    momentum = f"momentum {training['momentum']:g}"
    return (
        f"{first['data']}, {model['name']}{augment}; {training['rounds']} rounds, {training['epochs']} local epochs, "
        f"batch {training['batch_size']}, learning rate {training['lr']:g}, {momentum}; "
        f"{first['setting']['devices']} devices; {first['test_examples']} test samples. Command: `{first['command']}`."
    )


def _gaps(compared: Sequence[Comparison], references: Sequence[Reference]) -> list[str]:
    """How far plain and re-labeled FedAvg lie below what sees more, over the seeds that both have."""
    rows = []
    for item in compared:
        if item.method != "fedavg":
            continue
        for label, ceiling in _ceilings(item, compared, references):
            overall, few = (report.gap(item, ceiling, metric) for metric in ("overall", "few"))
            if overall and few:
                lags = (overall[1], overall[2], few[1], few[2])
                shown = (f"{100 * lag:+.1f}" for lag in lags)
                rows.append((item.setting, item.variant["name"], label, ", ".join(map(str, overall[0])), *shown))
    if not rows:
        return []
    told = ("overall", "with FedReLa", "few", "with FedReLa")
    heading = ("setting", "variant", "ahead of FedAvg", "seeds of both", *told)
    return [
        "How far ahead those are that see more, in percentage points:",
        Table("", heading, tuple(rows), 4).markdown(),
    ]


def _ceilings(
    item: Comparison, compared: Iterable[Comparison], references: Iterable[Reference]
) -> list[tuple[str, dict[int, dict[str, float]]]]:
    found = [
        (report.REFERENCES[one.name], one.by_seed)
        for one in references
        if one.study["setting"] == item.study["setting"]
    ]
    for one in compared:
        if one.method == "oracle" and one.setting == item.setting and one.variant == item.variant:
            found.append(("federated oracle with the global class counts", one.kept_by_seed))
    return found


def _findings(compared: Sequence[Comparison]) -> list[str]:
    """What helped and what it cost, counted."""
    lines = []
    for metric in ("overall", "few", "many", "ece"):
        differences = [item.difference[metric] for item in compared]
        up = sum(found.mean > 0 for found in differences)
        sure_up = sum(found.low > 0 for found in differences)
        sure_down = sum(found.high < 0 for found in differences)
        mean = 100 * spread([found.mean for found in differences]).mean
        lines.append(
            f"- {WORDS[metric]}: higher with re-labels in {up} of {len(differences)} comparisons (surely, by the "
            f"interval, in {sure_up}; surely lower in {sure_down}); mean change {mean:+.1f} points."
        )
    worst = min(compared, key=lambda item: item.difference["many"].mean)
    lines.append(
        f"- The largest price of head classes: {tables.points(worst.difference['many'])} points for the many "
        f"({worst.title}, {worst.setting}, {worst.variant['name']})."
    )
    losers = [item for item in compared if item.difference["overall"].mean < 0]
    if losers:
        told = "; ".join(
            f"{item.title} in {item.setting}, {item.variant['name']} ({tables.points(item.difference['overall'])})"
            for item in losers
        )
        lines.append(f"- Overall accuracy fell with: {told}.")
    return ["In short:", "\n".join(lines)]


def main() -> None:
    """Write docs/study.md."""
    parser = argparse.ArgumentParser(prog="python -m study.page", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "study.md")
    out = parser.parse_args().out
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(write(), encoding="utf-8")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()

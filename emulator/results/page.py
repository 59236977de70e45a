"""The report as pictures (PNG), and as one self-contained HTML page: no script, no request, pictures inside.

write(report, Path("runs/report"))
"""

import base64
from collections.abc import Sequence
from pathlib import Path

import jinja2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedrela.emulator.results import report as figures
from fedrela.emulator.results.report import GROUPS, Arm, Report, percent

mpl.use("Agg")

_COLOURS = ("#7a8694", "#d1495b", "#2a6f97", "#edae49", "#52796f")


def write(report: Report, folder: Path) -> list[Path]:
    """Write accuracy.png, fleet.png and report.html to `folder`; returns the pictures."""
    pictures = [folder / "accuracy.png", folder / "fleet.png"]
    draw(report, pictures[0])
    draw_fleet(report, pictures[1])
    render(report, pictures, folder / "report.html")
    return pictures


def draw(report: Report, path: Path) -> None:
    """Accuracy over rounds (left: overall, middle: the rarest classes), and per class before and after (right)."""
    figure = Figure(figsize=(15, 4.4), layout="constrained")
    overall, few, classes = figure.subplots(1, 3, width_ratios=(1, 1, 1.3))
    _curves(overall, report, "overall", "Accuracy, all classes")
    _curves(few, report, "few", "Accuracy, the rarest classes")
    _per_class(classes, report.arms[-1], report)
    figure.savefig(path, dpi=110)


def draw_fleet(report: Report, path: Path) -> None:
    """Updates counted per round, bytes over virtual time, and how evenly the work was spread over the devices."""
    figure = Figure(figsize=(15, 3.6), layout="constrained")
    updates, traffic, work = figure.subplots(1, 3)
    for arm, color in zip(report.arms, _cycle(), strict=False):
        run = arm.runs[0]
        updates.plot([r["round"] for r in run.rounds[1:]], [r["updates"] for r in run.rounds[1:]], color=color)
        hours = np.array([event["t"] for event in run.events]) / 3600
        for direction, style in (("bytes_down", "-"), ("bytes_up", "--")):
            total = np.cumsum([event.get(direction, 0) for event in run.events]) / 1e6
            name = f"{arm.label}, {'down' if direction == 'bytes_down' else 'up'}"
            traffic.plot(hours, total, style, color=color, label=name)
    _label(updates, "Updates counted per round (first seed)", "round", "updates")
    _label(traffic, "Bytes (first seed)", "virtual hours", "megabytes")
    traffic.legend(frameon=False, fontsize=8)
    numbers = report.fleet.devices_by_updates
    work.bar(list(numbers), list(numbers.values()), color=_COLOURS[2])
    _label(work, "Work per device, all runs", "updates of one device in one run", "devices")
    figure.savefig(path, dpi=110)


def render(report: Report, pictures: Sequence[Path], path: Path) -> None:
    """Write the page to `path`; `pictures` are PNG files, shown in order."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fedrela.emulator", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "megabytes": lambda size: f"{size / 1e6:.1f} MB"}
    images = [base64.b64encode(picture.read_bytes()).decode() for picture in pictures]
    names = figures.class_names(report.arms[0].runs[0])
    page = environment.get_template("report.html").render(report=report, groups=GROUPS, images=images, names=names)
    path.write_text(page, encoding="utf-8")


def _curves(axes: Axes, report: Report, group: str, title: str) -> None:
    for arm, color in zip(report.arms, _cycle(), strict=False):
        length = min(len(run.rounds) for run in arm.runs)
        values = 100 * np.array([figures.curve(run, group)[:length] for run in arm.runs])
        rounds = [result["round"] for result in arm.runs[0].rounds[:length]]
        axes.plot(rounds, values.mean(axis=0), color=color, label=arm.label)
        if len(values) > 1:
            axes.fill_between(rounds, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0)
    starts = [run for arm in report.arms for run in arm.runs if run.header["task"]["relabel"]["enabled"]]
    if starts:
        axes.axvline(figures.switch_round(starts[0]) + 0.5, color="#999999", linestyle=":", linewidth=1)
        axes.annotate(
            "re-labeling", (figures.switch_round(starts[0]) + 0.5, 0), xytext=(-3, 4), rotation=90, fontsize=8,
            textcoords="offset points", ha="right", color="#666666", xycoords=("data", "axes fraction"),
        )  # fmt: skip
    _label(axes, title, "round", "%")
    axes.legend(frameon=False, fontsize=9)


def _per_class(axes: Axes, arm: Arm, report: Report) -> None:
    """Recall of every class: the last arm before its re-labeling, and each arm's final model."""
    counts = arm.runs[0].header["class_counts"]
    columns = [("before", arm.before_per_class, "#c9d1d9"), *(
        (f"final, {other.label}", other.per_class, color)
        for other, color in zip(report.arms, _cycle(), strict=False)
    )]  # fmt: skip
    width = 0.8 / len(columns)
    for offset, (name, recalls, color) in enumerate(columns):
        heights = [100 * recall.mean for recall in recalls]
        positions = np.arange(len(heights)) + (offset - (len(columns) - 1) / 2) * width
        axes.bar(positions, heights, width, color=color, label=name)
    ticks = [f"{name}\n{count}" for name, count in zip(figures.class_names(arm.runs[0]), counts, strict=True)]
    axes.set_xticks(range(len(counts)), ticks, fontsize=8)
    _label(axes, "Accuracy per class, before and after", "class, and its number of training samples", "%")
    axes.set_ylim(0, 122)  # room for the legend above full bars
    axes.set_yticks(range(0, 101, 20))
    axes.legend(frameon=False, fontsize=8, ncol=3, loc="upper center")


def _label(axes: Axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)


def _cycle() -> list[str]:
    return list(_COLOURS) * 4

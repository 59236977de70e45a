"""The study's pictures as PNG files."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedrela.study.pages.answers import Near
from fedrela.study.pages.report import Comparison

mpl.use("Agg")

_KEPT, _RELABELED = "#7a8694", "#d1495b"
_ARMS = ("#7a8694", "#d1495b", "#2a6f97", "#1d2733")
_GROUPS = {"overall": "#1d2733", "many": "#2a6f97", "medium": "#edae49", "few": "#d1495b"}


def draw_differences(compared: Sequence[Comparison], path: Path) -> None:
    """What re-labeling changed per group of classes, with intervals; one row per comparison."""
    figure = Figure(figsize=(11, 1.2 + 0.55 * len(compared)), layout="constrained")
    axes: Axes = figure.subplots()
    for row, item in enumerate(compared):
        for offset, (name, color) in enumerate(_GROUPS.items()):
            difference = item.difference[name]
            y = row + (offset - 1.5) * 0.18
            axes.plot(100 * difference.mean, y, "o", color=color, markersize=4, label=name if row == 0 else None)
            axes.plot([100 * difference.low, 100 * difference.high], [y, y], color=color, linewidth=1.2)
    axes.axvline(0, color="#7a8694", linewidth=0.8)
    axes.set_yticks(
        range(len(compared)), [f"{c.setting}: {c.title}, {c.variant['name']}" for c in compared], fontsize=8
    )
    axes.invert_yaxis()
    _limit(axes, compared)
    axes.set_xlabel("re-labeled minus labels kept, percentage points (95 % interval)")
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="lower right", bbox_to_anchor=(1, 1))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def draw_distance(near: Sequence[Near], path: Path) -> None:
    """Overall accuracy and that of the few: FedAvg, with FedReLa, and what the pooled data give."""
    figure = Figure(figsize=(9, 0.9 + 1.15 * len(near)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    arms = list(dict.fromkeys(arm for item in near for arm in item.arms))
    for axes, metric, title in ((left, "overall", "all classes"), (right, "few", "the rarest 30 % of the classes")):
        for row, item in enumerate(near):
            for offset, arm in enumerate(arms):
                if arm in item.arms:
                    level, y = 100 * item.level(arm, metric), row + (offset - 1.5) * 0.2
                    axes.barh(y, level, 0.18, color=_ARMS[offset], label=arm if row == 0 else None)
                    axes.text(level + 0.5, y, f"{level:.0f}", va="center", fontsize=7)
        axes.set_title(f"recall of {title}, %", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_yticks(range(len(near)), [item.place.replace(", ", "\n", 1) for item in near], fontsize=8)
    left.invert_yaxis()
    figure.legend(*left.get_legend_handles_labels(), frameon=False, fontsize=8, ncols=4, loc="outside upper center")
    figure.savefig(path, dpi=110)


def _limit(axes: Axes, compared: Sequence[Comparison]) -> None:
    """Two seeds give intervals far wider than any effect: show the means, cut the lines."""
    largest = np.nanmax([abs(100 * item.difference[name].mean) for item in compared for name in _GROUPS])
    axes.set_xlim(-2 * largest - 1, 2 * largest + 1)


def draw_classes(compared: Sequence[Comparison], path: Path) -> None:
    """Recall per class, from the most to the least frequent, with and without re-labels."""
    columns = min(len(compared), 3)
    rows = -(-len(compared) // columns)
    figure = Figure(figsize=(4.6 * columns, 2.9 * rows), layout="constrained")
    grid = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).reshape(-1)
    for axes, item in zip(grid, compared, strict=False):
        order = np.argsort(-np.array(item.class_counts), kind="stable")
        places = np.arange(len(order))
        axes.bar(places - 0.2, 100 * np.array(item.kept_per_class)[order], 0.4, color=_KEPT, label="labels kept")
        axes.bar(
            places + 0.2, 100 * np.array(item.relabeled_per_class)[order], 0.4, color=_RELABELED, label="re-labeled"
        )
        axes.set_xticks(places, [str(item.class_counts[label]) for label in order], fontsize=7)
        axes.set_title(f"{item.setting}: {item.title}", fontsize=9)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[len(compared) :]:
        axes.set_visible(False)
    grid[0].set_ylabel("recall, %")
    grid[0].set_xlabel("training samples of the class, all devices")
    grid[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)

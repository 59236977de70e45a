"""Charts of a task's rounds as SVG, drawn by pygal.

svg = rounds_chart(records, "accuracy")
"""

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pygal
from pygal.style import Style

Record = dict[str, Any]

# Readable on a light and on a dark page: the page lays charts on a white card. Colors of Okabe and Ito.
STYLE = Style(
    background="white",
    plot_background="white",
    colors=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"),
    font_family="system-ui, sans-serif",
    guide_stroke_color="#ccc",
    major_guide_stroke_color="#aaa",
)


def _share(figures: Record | None, name: str) -> float | None:
    """A share in %, where it is known."""
    return None if figures is None or figures[name] is None else 100 * float(figures[name])


SERIES: dict[str, tuple[tuple[str, Callable[[Record], float | None]], ...]] = {
    "accuracy": (
        ("overall", lambda item: _share(item["accuracy"], "overall")),
        ("many", lambda item: _share(item["accuracy"], "many")),
        ("medium", lambda item: _share(item["accuracy"], "medium")),
        ("few", lambda item: _share(item["accuracy"], "few")),
        ("devices' hold-outs", lambda item: _share(item["evaluation"], "accuracy")),
    ),
    "participation": (
        ("updates counted", lambda item: item["updates"]),
        ("assignments that failed", lambda item: sum(item["failures"].values())),
    ),
    "traffic": (
        ("updates, kB", lambda item: item["update_bytes"] / 1e3),
        ("weights, kB", lambda item: item["checkpoint_bytes"] / 1e3),
    ),
}
TITLES = {
    "accuracy": "Accuracy over rounds, %",
    "participation": "Participation over rounds",
    "traffic": "Traffic over rounds",
}


def rounds_chart(records: list[Record], kind: str) -> bytes:
    """One chart of `kind` (a key of SERIES) over the committed rounds; SVG without scripts."""
    closed = [item for item in records if item["committed_at"] is not None]
    chart = pygal.Line(
        style=STYLE,
        width=640,
        height=300,
        js=(),
        dots_size=2,
        show_minor_x_labels=False,
        x_labels_major_every=max(len(closed) // 8, 1),
        legend_at_bottom=True,
        title=TITLES[kind],
        no_data_text="no round yet",
        include_x_axis=True,
        range=(0, 100) if kind == "accuracy" else None,
        disable_xml_declaration=True,
    )
    chart.x_labels = [str(item["round"]) for item in closed]
    for name, value in SERIES[kind]:
        points = [value(item) for item in closed]
        if any(point is not None for point in points):
            chart.add(name, points)
    tree = chart.render_tree()
    for parent in list(tree.iter()):
        for child in [item for item in parent if str(item.tag).endswith("script")]:
            parent.remove(child)  # tooltips; the same numbers are in the page's table
    return bytes(ElementTree.tostring(tree, encoding="utf-8"))

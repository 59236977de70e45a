"""`fedrela audit`: what a bundle's programs compute, as plain data and for people.

It runs without torch: only a comparison with eager PyTorch (`fedrela.export.audit.eager`) needs it. What it can't do is
to prove a program harmless: a program may do something else on other data, or hide what it does below rounding.
"""

import math
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from fedrela.core.bundle import PROGRAMS, Bundle
from fedrela.export.audit.dependence import dependences, operators
from fedrela.export.audit.sensitivity import Sensitivity, sensitivities
from fedrela.export.verification import replay

LIMITS = (
    "an audit shows what the programs compute, and proves nothing in general: a program may behave differently on data "
    "that nobody tried. Trust in the publisher stays"
)


def describe(opened: Bundle) -> dict[str, Any]:
    """Publisher, operators and dependences by program, and how the labels move each tensor of an update."""
    programs = {}
    for name in PROGRAMS:
        program = getattr(opened.manifest, name)
        file = program.file("onnx")
        if file is not None:
            body = (opened.folder / file.path).read_bytes()
            found = dependences(program, body)
            programs[name] = {
                "operators": operators(body),
                "outputs": {output: {"from": one.roles, "labels": one.labels} for output, one in found.items()},
            }
    runtime = replay.available(opened)[0]
    moves = sensitivities(opened.manifest, replay.load(opened, runtime, ("train_step",))["train_step"])
    return {
        "name": opened.manifest.name,
        "publisher": opened.seal.publisher() if opened.seal.signature else None,
        "programs": programs,
        "labels_move": {name: _plain(one) for name, one in moves.items()},
        "limits": LIMITS,
    }


def print_report(described: Mapping[str, Any]) -> None:
    """The same as tables."""
    console = Console(highlight=False)
    console.print(f"publisher: {described['publisher'] or 'none (unsigned)'}", markup=False)
    for name, program in described["programs"].items():
        counted = ", ".join(f"{operator} x{count}" for operator, count in program["operators"].items())
        console.print(f"{name}: {counted}", markup=False, soft_wrap=True)
        for output, one in program["outputs"].items():
            way = "" if one["labels"] is None else f"; labels by {' > '.join(one['labels'])}"
            console.print(f"  {output}: from {', '.join(one['from']) or 'nothing'}{way}", markup=False, soft_wrap=True)
    table = Table(title="how an update moves when only the labels change", title_justify="left")
    for heading in ("tensor", "largest change in a step", "by other labels, relative"):
        table.add_column(heading)
    for name, one in described["labels_move"].items():
        table.add_row(
            name,
            f"{one['change']:.2g}",
            "without labels nothing" if one["by_labels"] is None else f"{one['by_labels']:.2g}",
        )
    console.print(table)
    if "eager" in described:
        _print_eager(console, described["eager"])
    console.print(described["limits"], markup=False)


def _print_eager(console: Console, eager: Mapping[str, Any]) -> None:
    console.print(
        f"against eager PyTorch (seed {eager['seed']}): largest relative error {eager['largest']:.1e}", markup=False
    )
    for name, error in eager["wrong"].items():
        console.print(f"  {name} differs from eager PyTorch by {error:.2g}", markup=False)


def _plain(one: Sensitivity) -> dict[str, float | None]:
    """JSON has no infinity: None where a tensor moves by other labels alone."""
    return {"change": one.change, "by_labels": one.by_labels if math.isfinite(one.by_labels) else None}

"""Figures that a text repeats are those of the last measurement."""

import json
import re

from tests.documents.blocks import ROOT


def test_what_a_step_costs_in_the_sandbox() -> None:
    measured = json.loads((ROOT / "benchmarks/results/device.json").read_text())["bars"]
    (ratio,) = [value for name, value in measured.items() if "sandboxed" in name and "8x8" in name]
    manual = (ROOT / "docs/device.md").read_text(encoding="utf-8")
    assert re.findall(r"takes ([\d.]+) times as long\s+as in process", manual) == [f"{ratio:.2f}"]

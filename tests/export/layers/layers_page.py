"""docs/layers.md, written from what the tests measure.

`make tables` keeps the figures in benchmarks/results/ and writes the page anew; otherwise the tests only judge.
"""

import json
import os
from pathlib import Path

from fedrela.export.layers.catalog import CASES
from fedrela.export.verification.equality import TOLERANCE
from fedrela.export.verification.replay import RUNTIMES
from tests.export.verification.reference_models import MODELS

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "layers.md"
FIGURES = {table: ROOT / "benchmarks" / "results" / f"{table}.json" for table in ("layers", "models")}
ROWS = {"layers": tuple(case.name for case in CASES), "models": tuple(MODELS)}
TITLES = {"onnx": "ONNX Runtime", "executorch": "ExecuTorch"}

Results = dict[str, dict[str, str]]  # row -> runtime -> cell


def recording() -> bool:
    """Whether this run writes the page."""
    return bool(os.environ.get("FEDRELA_RECORD_TABLES"))


def record(table: str, row: str, runtime: str, largest: float) -> None:
    """Keep the largest error of a row that passed, if asked to."""
    if not recording():
        return
    results = read(table)
    results.setdefault(row, {})[runtime] = f"{largest:.0e}"
    ordered = {name: results[name] for name in ROWS[table] if name in results}
    FIGURES[table].write_text(json.dumps(ordered, indent=1) + "\n")
    PAGE.write_text(page())


def read(table: str) -> Results:
    """The figures kept so far."""
    return json.loads(FIGURES[table].read_text()) if FIGURES[table].is_file() else {}


def page() -> str:
    """The Markdown page."""
    return f"""# Layers and models

Each row was trained for three steps, forward and backward, in training mode, and compared with eager PyTorch: every
weight, buffer, optimizer state, loss and count. The number is the largest relative error; {TOLERANCE:.0e} is allowed.
The tests train the same rows, and this page is written from what they measured.

## Layers

{_table("Layer", "layers")}
## Reference models

Narrow forms of the classifiers in `export/models.py`, exported as whole bundles: training, prediction and re-labeling,
golden steps and fresh ones, each verified in a process of its own.

{_table("Model", "models")}"""


def _table(heading: str, table: str) -> str:
    results = read(table)
    lines = [f"| {heading} | " + " | ".join(TITLES[runtime] for runtime in RUNTIMES) + " |", "|---|---|---|"]
    for row in ROWS[table]:
        found = results.get(row, {})
        lines.append(f"| {row} | " + " | ".join(found.get(runtime, "not measured") for runtime in RUNTIMES) + " |")
    return "\n".join(lines) + "\n"

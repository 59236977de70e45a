"""The tables of docs/privacy.md, anew from what was measured: `python -m benchmarks.privacy_page` measures nothing.

Each command below writes its own table when it has run.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import pages
from benchmarks.leakage import table as leakage_table
from benchmarks.secure import accuracy, attacks, costs, losses

Table = Callable[[Any], str]
RESULTS = Path(__file__).parent / "results"
TABLES: dict[str, tuple[Path, Table]] = {
    "benchmarks.leakage": (RESULTS / "leakage.json", leakage_table.text),
    attacks.COMMAND: (attacks.RESULTS, attacks.table),
    losses.COMMAND: (losses.RESULTS, losses.table),
    accuracy.COMMAND: (accuracy.RESULTS, accuracy.table),
    costs.COMMAND: (costs.RESULTS, costs.table),
}


def recorded(command: str) -> str:
    """The tables of a command's last run, or that there was none."""
    results, table = TABLES[command]
    return table(json.loads(results.read_text(encoding="utf-8"))) if results.exists() else pages.NOT_YET


def main() -> None:
    """Write them all."""
    for command in TABLES:
        pages.write(pages.PRIVACY, command, recorded(command))


if __name__ == "__main__":
    main()

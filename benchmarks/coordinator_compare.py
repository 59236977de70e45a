"""Two checkouts' coordinators under the same load, taking turns: is the later one slower?

    python -m benchmarks.coordinator_compare --before ../checkout-of-before --runs 5

Each run is `benchmarks.coordinator_load` with one setting, by this interpreter, in one checkout; runs alternate, so
that a machine that slows down slows both. The table gives medians over the runs, and their ratio: rates as after /
before (more is better), processor time per request likewise (less is better). The bar is 5 % in either.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
RESULTS = HERE / "benchmarks" / "results" / "coordinator_compare.json"
LOAD = ("-m", "benchmarks.coordinator_load", "--devices", "1000", "--workers", "1")
Line = dict[str, Any]


def load(checkout: Path, database: str, seconds: float) -> list[Line]:
    """One run in one checkout: the lines of its table, in the order of its phases."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "load.json"
        command = [sys.executable, *LOAD, "--database", database, "--seconds", str(seconds), "--output", str(output)]
        environment = os.environ | {"PYTHONPATH": str(checkout)}  # so that its processes run its code
        subprocess.run(command, cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
        lines: list[Line] = json.loads(output.read_text())["settings"][0]["figures"]
    errors = {line["phase"]: line["errors"] for line in lines if line["errors"]}
    assert not errors, f"{checkout}: {errors}"
    return lines


def alternate(before: Path, after: Path, database: str, runs: int, seconds: float) -> list[Line]:
    """Runs of both checkouts in turn; one line of medians and ratios for each phase."""
    measured: dict[Path, list[list[Line]]] = {before: [], after: []}
    for number in range(runs):
        for checkout in (before, after) if number % 2 == 0 else (after, before):
            print(f"{database}: run {number + 1} of {runs}, {checkout}", file=sys.stderr, flush=True)
            measured[checkout].append(load(checkout, database, seconds))
    return [
        compare(database, [run[phase] for run in measured[before]], [run[phase] for run in measured[after]])
        for phase in range(len(measured[after][0]))
    ]


def compare(database: str, before: list[Line], after: list[Line]) -> Line:
    """One phase: medians of the rate and of the processor time, and after / before."""
    line: Line = {"database": database, "phase": after[0]["phase"]}
    for figure in ("per_second", "cpu_ms"):
        medians = [statistics.median(run[figure] for run in runs) for runs in (before, after)]
        line[figure] = {"before": medians[0], "after": medians[1], "ratio": round(medians[1] / medians[0], 3)}
    return line


def show(lines: list[Line]) -> None:
    """The table."""
    print(f"{'':12}{'':34}{'per s':>9}{'after':>9}{'ratio':>7}{'cpu ms':>9}{'after':>9}{'ratio':>7}")
    for line in lines:
        cells = [f"{line[figure][key]:9.2f}" for figure in ("per_second", "cpu_ms") for key in ("before", "after")]
        ratios = [f"{line[figure]['ratio']:7.3f}" for figure in ("per_second", "cpu_ms")]
        print(f"{line['database']:12}{line['phase']:34}{cells[0]}{cells[1]}{ratios[0]}{cells[2]}{cells[3]}{ratios[1]}")


def main() -> None:
    """Measure, print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True, help="the checkout to compare with")
    parser.add_argument("--after", type=Path, default=HERE, help="[default: this one]")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each phase")
    parser.add_argument("--database", nargs="+", default=["sqlite", "postgresql"], choices=["sqlite", "postgresql"])
    parser.add_argument("--output", type=Path, default=RESULTS)
    asked = parser.parse_args()
    lines: list[Line] = []
    for database in asked.database:
        lines += alternate(asked.before.resolve(), asked.after.resolve(), database, asked.runs, asked.seconds)
    show(lines)
    report = {"machine": f"{platform.machine()}, {os.cpu_count()} cores", "runs": asked.runs, "lines": lines}
    asked.output.write_text(json.dumps(report, indent=2) + "\n")
    print(f"\nwritten to {asked.output}")


if __name__ == "__main__":
    main()

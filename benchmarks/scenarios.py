"""The shipped scenarios, run as a person would: time, memory, accuracy, loss, and what was refused.

    python -m benchmarks.scenarios                  # all of them, about eleven minutes on an idle machine
    python -m benchmarks.scenarios ci malicious     # some

`malicious` and `flaky-network` run a second time without attackers or faults, for comparison. Writes
benchmarks/results/scenarios.json; a scenario that is run again replaces its own figures only.
"""

import argparse
import json
import os
import sys
import tempfile
import tomllib
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import Any

from benchmarks.processes import process_tree

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "scenarios.json"
NAMES = ("trial", "ci", "malicious", "flaky-network", "huge", "daily")
PEACEFUL = {"malicious": "malicious", "flaky-network": "faults"}  # scenario -> what the comparison leaves out
LIMIT_SECONDS = 1800.0
Row = dict[str, Any]


def main() -> None:
    """Run what was asked for, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, help=", ".join(NAMES))
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    record = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in options.names:
        with tempfile.TemporaryDirectory() as folder:
            row = emulate(name, Path(folder) / "run", options.workers)
            if name in PEACEFUL and "problem" not in row:
                path = Path(folder) / f"{name}.toml"
                path.write_text(without(name, PEACEFUL[name]), encoding="utf-8")
                row["peaceful"] = emulate(str(path), Path(folder) / "peaceful", options.workers)
            record[name] = row | {"bars": bars(name, row), "load_average": os.getloadavg(), "cores": os.cpu_count()}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print_table({name: record[name] for name in options.names})


def emulate(scenario: str, out: Path, workers: int) -> Row:
    """`fedrela emulate`, export and coordinator included."""
    print(f"running: fedrela emulate {scenario}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "fedrela", "emulate", scenario, "--out", str(out), "--quiet", "--json"]
    environment = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    tree = process_tree.run([*command, "--workers", str(workers)], limit_seconds=LIMIT_SECONDS, environment=environment)
    row: Row = {"peak_bytes": tree.peak_bytes, "cpu_seconds": round(tree.cpu_seconds, 1)}
    if tree.problem:
        return row | {"problem": tree.problem}
    summary = json.loads(tree.output.splitlines()[-1])
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    happened = Counter(f"{event['event']} {event.get('code', '')}".strip() for event in events)
    keys = ("rounds", "failed_rounds", "updates", "accuracy", "loss", "virtual_seconds", "final_sha256")
    return row | {key: summary[key] for key in keys} | summary["machine"] | {"events": dict(sorted(happened.items()))}


def without(name: str, key: str) -> str:
    """The shipped scenario's text without a table."""
    text = (resources.files("fedrela.emulator") / "scenarios" / f"{name}.toml").read_text(encoding="utf-8")
    heads = (f"[{key}]", f"[[{key}]]")
    lines, skipping = [], False
    for line in text.splitlines():
        if line.startswith("["):
            skipping = line.strip() in heads
        if not skipping:
            lines.append(line)
    shorter = "\n".join(lines) + "\n"
    assert key not in tomllib.loads(shorter)
    return shorter


def bars(name: str, row: Row) -> dict[str, bool]:
    """What the scenario must show."""
    if "problem" in row:
        return {"completes": False}
    verdicts = {"completes": True, "no failed round": row["failed_rounds"] == 0}
    if name == "ci":
        verdicts["under 60 s"] = row["seconds"] < 60
    if name == "huge":
        verdicts["under 4 GB"] = row["peak_bytes"] < 4e9
    if name == "malicious":
        lost = row["peaceful"]["accuracy"]["overall"] - row["accuracy"]["overall"]
        verdicts["attackers cost at most 3 points"] = lost <= 0.03
    return verdicts


def print_table(rows: dict[str, Row]) -> None:
    """One line each, and one for its comparison."""
    print(f"{'':26} seconds training  peak MB  updates  overall   few    loss  failed rounds")
    for name, row in rows.items():
        print_row(name, row)
        if "peaceful" in row:
            print_row(f"{name}, without", row["peaceful"])
        held = [f"{bar}: {'holds' if holds else 'missed'}" for bar, holds in row["bars"].items()]
        print(f"{'':26} {', '.join(held)}")


def print_row(name: str, row: Row) -> None:
    """The figures of one run."""
    if "problem" in row:
        print(f"{name:26} {row['problem']}")
        return
    few = row["accuracy"]["few"]
    print(
        f"{name:26} {row['seconds']:7.0f} {row['training_seconds']:8.0f} {row['peak_bytes'] / 1e6:8.0f} "
        f"{row['updates']:8} {100 * row['accuracy']['overall']:7.1f} {'-' if few is None else f'{100 * few:5.1f}':>6} "
        f"{row['loss']:7.3f} {row['failed_rounds']:7}"
    )


if __name__ == "__main__":
    os.chdir(ROOT)
    main()

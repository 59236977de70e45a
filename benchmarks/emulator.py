"""How many virtual devices a second the emulator trains, beside Flower, a plain PyTorch loop and a vmapped one.

    python -m benchmarks.emulator                           # makes .venv-flower the first time (some minutes)
    python -m benchmarks.emulator --flower ENV/bin/python   # an environment that has flwr[simulation]
    python -m benchmarks.emulator --only ours plain         # a part

The work is the same for all: 1 000 devices with 12 digits each, cohorts of 100, 10 rounds, 2 local epochs in batches of
8, and a CNN of 16 and 32 channels. Enrollment and start-up are not counted in devices per second for anybody; memory is
the peak of all processes together, shared pages counted once. Writes benchmarks/results/emulator.json, also where a
contender did not finish. Nothing else should run on the machine meanwhile.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.processes import process_tree

SCENARIO = """
name = "benchmark"
devices = {devices}
[data]
imbalance = 10
alpha = 0.5
samples_per_device = 12
[task]
name = "benchmark"
rounds = {rounds}
[task.local]
epochs = 2
batch_size = 8
hyperparameters = {{ lr = 0.05, momentum = 0.0 }}
[task.relabel]
enabled = false
[task.round]
goal = {cohort}
"""
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "emulator.json"
EXPORT = ("examples.digits:build", "--input", "uint8:1x8x8", "--classes", "10")
# torch is named exactly and first, so that pip takes its CPU build wherever one is offered.
FLOWER_PACKAGES = (("torch==2.13.0",), ("flwr[simulation]", "scikit-learn"))
FLOWER_SETTINGS = {"FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_DISABLE_IMPORT_WARNING": "1"}
OURS = {"ours, HTTP, 2 workers": ["--workers", "2"], "ours, in one process": ["--in-process"]}
FLOWER = "Flower, Ray"
Row = dict[str, Any]


def main() -> None:
    """Measure everything asked for, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=("ours", "plain", "vmap", "flower"), default=())
    parser.add_argument("--flower", default="", help="python of an environment that has flwr[simulation]")
    parser.add_argument("--limit-seconds", type=float, default=140.0, help="for each contender")
    options = parser.parse_args()
    contenders = options.only or ("flower", "ours", "plain", "vmap")
    rows: dict[str, Row] = {}
    for name, command in commands(contenders, options):
        rows[name] = contender(command, options)
        save(rows, options)  # after each: what was measured is kept, whatever happens next
    print_table(rows, verdicts(rows), options.cohort * options.rounds)


def commands(contenders: Sequence[str], options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """What is run, by name; what it needs is made just before."""
    sizes = [str(options.devices), str(options.cohort), str(options.rounds)]
    for name in ("plain", "vmap"):
        if name in contenders:
            yield f"PyTorch, {name} loop", [sys.executable, "-m", "benchmarks.fleets.loops", name, *sizes]
    if "ours" in contenders:
        yield from ours(options)
    if "flower" in contenders:
        python = options.flower or str(flower_environment(ROOT / ".venv-flower"))
        yield FLOWER, [python, "benchmarks/fleets/flower.py", "ray", *sizes]


def save(rows: dict[str, Row], options: argparse.Namespace) -> None:
    """Write the JSON."""
    size = {key: getattr(options, key) for key in ("devices", "cohort", "rounds")}
    machine = {"load_average": os.getloadavg(), "cores": os.cpu_count()}
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(machine | size | {"results": rows, "bars": verdicts(rows)}, indent=1) + "\n", "utf-8")


def ours(options: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """`fedrela emulate` over HTTP and in one process, on a bundle that is exported first."""
    with tempfile.TemporaryDirectory() as folder:
        scenario, bundle = Path(folder) / "scenario.toml", Path(folder) / "bundle"
        scenario.write_text(SCENARIO.format(**vars(options)), encoding="utf-8")
        quietly([sys.executable, "-m", "fedrela", "export", *EXPORT, "--out", str(bundle)])
        for name, flags in OURS.items():
            command = [sys.executable, "-m", "fedrela", "emulate", str(scenario), "--bundle", str(bundle)]
            yield name, [*command, "--out", f"{folder}/run-{len(flags)}", "--quiet", "--json", *flags]


def contender(command: list[str], options: argparse.Namespace) -> Row:
    """One row: the last line of output says seconds, or is the summary of `fedrela emulate`."""
    environment = {
        "PYTHONPATH": str(ROOT),
        "LENT_SITE": sysconfig.get_path("purelib"),
        "OMP_NUM_THREADS": "1",
        **FLOWER_SETTINGS,
    }
    print(f"running: {' '.join(command[:6])} ...", file=sys.stderr, flush=True)
    tree = process_tree.run(command, limit_seconds=options.limit_seconds, environment=environment)
    row: Row = {"peak_bytes": tree.peak_bytes, "cpu_seconds": round(tree.cpu_seconds, 2)}
    if tree.problem:
        return row | {"problem": tree.problem}
    output = json.loads(tree.output.splitlines()[-1])
    if isinstance(output, dict):
        rate = output["machine"]["updates_per_second"]
        return row | {"devices_per_second": rate, "final_sha256": output["final_sha256"]}
    return row | {"devices_per_second": options.cohort * options.rounds / float(output)}


def verdicts(rows: dict[str, Row]) -> dict[str, Row]:
    """What was to be shown: the figure, its bar, and whether it holds; only where both contenders finished."""
    bars: dict[str, Row] = {}

    def compare(name: str, mine: str, other: str, key: str, factor: float, *, at_most: bool = False) -> None:
        if key in rows.get(mine, {}) and key in rows.get(other, {}) and "problem" not in rows[mine] | rows[other]:
            ratio = rows[mine][key] / rows[other][key]
            bars[name] = {
                "ratio": ratio,
                "bar": factor,
                "holds": ratio <= factor if at_most else ratio >= factor,
            }

    http, inside = OURS
    compare("HTTP: devices/s over Flower's", http, FLOWER, "devices_per_second", 3)
    compare("HTTP: memory over Flower's", http, FLOWER, "peak_bytes", 1 / 3, at_most=True)
    compare("in one process: devices/s over the plain loop's", inside, "PyTorch, plain loop", "devices_per_second", 1)
    compare("in one process: devices/s over the vmapped loop's", inside, "PyTorch, vmap loop", "devices_per_second", 1)
    return bars


def print_table(rows: dict[str, Row], bars: dict[str, Row], trainings: int) -> None:
    """Rows, then bars."""
    print(f"{'':24} devices/s   peak MB   CPU s   ({trainings} local trainings)")
    for name, row in rows.items():
        rate = f"{row['devices_per_second']:9.1f}" if "devices_per_second" in row else f"{'-':>9}"
        print(f"{name:24} {rate} {row['peak_bytes'] / 1e6:9.0f} {row['cpu_seconds']:7.1f}   {row.get('problem', '')}")
    for name, bar in bars.items():
        print(f"{name}: {bar['ratio']:.2f} (bar {bar['bar']:.2f}: {'holds' if bar['holds'] else 'missed'})")


def flower_environment(folder: Path) -> Path:
    """The python of an environment with Flower and a CPU build of torch, made if it isn't there."""
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists():
        print(f"making {folder} ...", file=sys.stderr, flush=True)
        quietly([sys.executable, "-m", "venv", str(folder)])
        for packages in FLOWER_PACKAGES:
            quietly([str(python), "-m", "pip", "install", "--quiet", *packages])
        quietly([str(python), "-c", "import torch, flwr, ray; assert torch.version.cuda is None, 'not a CPU build'"])
        stamp.touch()
    return python


def quietly(command: list[str]) -> None:
    """Run a command; end with its message if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()

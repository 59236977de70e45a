"""How many virtual devices a second the emulator trains, beside a plain PyTorch loop, a vmapped one, and Flower.

    python -m benchmarks.emulator                         # ours and the two loops
    python -m benchmarks.emulator --flower ENV/bin/python  # an environment with flwr[simulation]; torch is lent to it

The work is the same for all: 1 000 devices with 12 digits each, cohorts of 100, 10 rounds, 2 local epochs in batches of
8, and a CNN of 16 and 32 channels. Enrolment and start-up are not counted for anybody. Writes
benchmarks/results/emulator.json. Nothing else should run on the machine meanwhile; what counts is ratios.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

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
EXPORT = ("examples.digits:build", "--input", "uint8:1x8x8", "--classes", "10")
RESULTS = Path(__file__).parent / "results" / "emulator.json"


def main() -> None:
    """Measure everything asked for, print a table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--cohort", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--flower", default="", help="python of an environment that has flwr[simulation]")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    updates = options.cohort * options.rounds
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        scenario = Path(folder) / "scenario.toml"
        scenario.write_text(SCENARIO.format(**vars(options)), encoding="utf-8")
        bundle = Path(folder) / "bundle"
        run([sys.executable, "-m", "fedrela", "export", *EXPORT, "--out", str(bundle)])
        for name, flags in {
            "ours, HTTP, 2 workers": ["--workers", "2"],
            "ours, in one process": ["--in-process"],
        }.items():
            rows[name] = ours(scenario, bundle, Path(folder) / name.replace(" ", "-"), flags)
    for name in ("plain", "vmap"):
        rows[f"PyTorch, {name} loop"] = child(sys.executable, "-m", "benchmarks.emulator_loops", name, options)
    if options.flower:
        rows["Flower, Ray"] = child(options.flower, str(Path(__file__).with_name("emulator_flower.py")), "ray", options)
    print(f"{'':24} devices/s   peak MB   ({updates} local trainings)")
    for name, row in rows.items():
        print(f"{name:24} {row['devices_per_second']:9.1f} {row['peak_bytes'] / 1e6:9.0f}")
    RESULTS.parent.mkdir(exist_ok=True)
    record = {"load_average": os.getloadavg(), "cores": os.cpu_count(), **vars(options), "results": rows}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def ours(scenario: Path, bundle: Path, out: Path, flags: list[str]) -> dict[str, float]:
    """`fedrela emulate`, with the memory of all its processes."""
    command = ["fedrela", "emulate", str(scenario), "--bundle", str(bundle), "--out", str(out), "--quiet", "--json"]
    output, peak = measured([sys.executable, "-m", *command, *flags])
    summary = json.loads(output.splitlines()[-1])
    return {
        "devices_per_second": summary["machine"]["updates_per_second"],
        "peak_bytes": peak,
        "overall_accuracy": summary["accuracy"]["overall"],
    }


def child(python: str, *arguments: Any) -> dict[str, float]:
    """A competitor in a process of its own; it prints seconds as its last line."""
    *words, options = arguments
    sizes = [str(options.devices), str(options.cohort), str(options.rounds)]
    output, peak = measured([python, *map(str, words), *sizes])
    seconds = float(output.splitlines()[-1])
    return {"devices_per_second": options.cohort * options.rounds / seconds, "peak_bytes": peak}


def measured(command: list[str]) -> tuple[str, int]:
    """Standard output, and the peak of the resident memory of the process and all its descendants."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([os.getcwd()]),
        "LENT_SITE": sysconfig.get_path("purelib"),
    }
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    peak = [0]
    watcher = threading.Thread(target=watch, args=(process, lambda size: peak.__setitem__(0, max(peak[0], size))))
    watcher.start()
    output, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with status {process.returncode}")
    return output, peak[0]


def watch(process: "subprocess.Popen[str]", tell: Callable[[int], None]) -> None:
    """Sample the tree's memory until the process has ended."""
    while process.poll() is None:
        total = 0
        try:
            root = psutil.Process(process.pid)
            for member in [root, *root.children(recursive=True)]:
                total += member.memory_info().rss
        except psutil.Error:
            pass
        tell(total)
        time.sleep(0.2)


def run(command: list[str]) -> None:
    """Run quietly; raise with its message if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)


if __name__ == "__main__":
    main()

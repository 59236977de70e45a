"""How long does an export take, and where does its time go?

    python -m benchmarks.export_time                        three nets, ONNX alone and both runtimes
    python -m benchmarks.export_time --before CHECKOUT      the same by another checkout's code, in turns

Each export is a process of its own, as a person would start it; what it imports counts. Seconds by the clock, and of
processor time (its children's included): on a busy machine only the latter can be compared.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "export_time.json"
NETS: dict[str, tuple[str, str, int]] = {
    "tabular MLP": ("tabular_mlp", "float32:20", 5),
    "small CNN": ("small_cnn", "uint8:1x8x8", 10),
    "ResNet-18": ("resnet18", "uint8:3x32x32", 10),
}
RUNTIMES = {"ONNX": ("onnx",), "both": ("onnx", "executorch")}
CHILD = """\
import json, resource, sys, tempfile, time
began = time.perf_counter()
import torch
from fedrela.export import export_classifier, models
build, given, classes, runtimes, own = json.loads(sys.argv[1])
import fedrela.export
assert fedrela.export.__file__.startswith(own), fedrela.export.__file__
torch.manual_seed(0)
said = [("imports", began)]  # a stage, without where it writes
with tempfile.TemporaryDirectory() as folder:
    done = export_classifier(
        getattr(models, build)(), input=given, classes=classes, out=folder + "/bundle", runtimes=runtimes,
        private_key="11" * 32, report=lambda line: said.append((line.split(": /")[0], time.perf_counter())),
    )
ended = time.perf_counter()
spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
ends = [begin for _, begin in said[1:]] + [ended]
print(json.dumps({
    "seconds": ended - began,
    "processor_seconds": sum(one.ru_utime + one.ru_stime for one in spent),
    "largest_relative_error": done.largest_error,
    "stages": {line: end - begin for (line, begin), end in zip(said, ends)},
}))
"""


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="another checkout, to compare with")
    parser.add_argument("--nets", nargs="+", choices=[*NETS], default=[*NETS])
    parser.add_argument("--runtimes", nargs="+", choices=[*RUNTIMES], default=[*RUNTIMES])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    checkouts = {"now": ROOT} | ({"before": options.before.resolve()} if options.before else {})
    rows: list[dict[str, Any]] = []
    for net in options.nets:
        for runtimes in options.runtimes:
            for which, checkout in checkouts.items():
                print(f"{net}, {runtimes}, {which} ...", file=sys.stderr, flush=True)
                rows.append({"net": net, "runtimes": runtimes, "code": which} | _export(checkout, net, runtimes))
                options.out.write_text(json.dumps({"cores": os.cpu_count(), "exports": rows}, indent=1) + "\n")
    print(table(rows))


def _export(checkout: Path, net: str, runtimes: str) -> dict[str, Any]:
    """One export by the code in `checkout`."""
    asked = json.dumps([*NETS[net], RUNTIMES[runtimes], str(checkout)])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, asked], cwd=checkout, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{net} for {runtimes} failed in {checkout}: {done.stderr.strip().splitlines()[-1]}")
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured | {"longest_stage_seconds": max(measured["stages"].values())}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = [
        "| net | runtimes | code | seconds | processor seconds | longest stage, s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        figures = (row[name] for name in ("seconds", "processor_seconds", "longest_stage_seconds"))
        lines.append(
            f"| {row['net']} | {row['runtimes']} | {row['code']} | {' | '.join(f'{x:.1f}' for x in figures)} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

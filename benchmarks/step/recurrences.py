"""Recurrent nets over 8, 32 and 128 steps: how long does their export take, and a training step next to eager PyTorch?

    python -m benchmarks.step.recurrences                                  all of them on both runtimes (half an hour)
    python -m benchmarks.step.recurrences --nets "GRU, 8 steps" --runtimes onnx --out part.json

Each export is a process of its own, verification included, in seconds by the clock and of processor time. A step is one
of batch 32 on one thread, in processor time, in turns with eager PyTorch's (see `benchmarks.step.alternation`).
"""

import argparse
import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.step import alternation, files

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "recurrences.json"
NETS = tuple(f"{kind}, {steps} steps" for kind in ("GRU", "LSTM", "BiLSTM", "Elman") for steps in (8, 32, 128))
RUNTIMES = ("onnx", "executorch")
BATCH = 32
CHILD = """\
import json, resource, sys, tempfile, time
began = time.perf_counter()
from benchmarks.step import models
from fedrela.export import export_classifier
name, runtime = sys.argv[1:]
net = models.NETS[name]
with tempfile.TemporaryDirectory() as folder:
    done = export_classifier(
        models.build(name), input=net.input, classes=net.classes, out=folder + "/bundle", runtimes=(runtime,),
        private_key="11" * 32, max_batch=32,
    )
    size = (done.folder / ("train_step." + {"onnx": "onnx", "executorch": "pte"}[runtime])).stat().st_size
spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "export_seconds": time.perf_counter() - began,
    "export_processor_seconds": sum(one.ru_utime + one.ru_stime for one in spent),
    "export_peak_mb": max(one.ru_maxrss for one in spent) / 1024,
    "train_step_bytes": size,
    "largest_relative_error": done.largest_error,
}))
"""


def main() -> None:
    """Measure, print, write JSON after each net."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=[*NETS])
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=[*RUNTIMES])
    parser.add_argument("--kept", type=Path, default=Path("runs/recurrences"), help="folder for lowered programs")
    parser.add_argument("--seconds", type=float, default=0.8, help="of steps, per runtime and net, about")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for net in options.nets:
        exports = {runtime: _export(net, runtime) for runtime in options.runtimes}
        ratios = _ratios(net, options.runtimes, options.kept, options.seconds)
        rows += [{"net": net, "runtime": name} | exports[name] | ratios[name] for name in options.runtimes]
        options.out.write_text(json.dumps({"cores": os.cpu_count(), "batch": BATCH, "nets": rows}, indent=1) + "\n")
        print(table(rows[-len(options.runtimes) :]), flush=True)


def _export(net: str, runtime: str) -> dict[str, float]:
    """One export in a process of its own. Raises SystemExit with its last words where it fails."""
    print(f"{net}, {runtime} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-c", CHILD, net, runtime]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{net} for {runtime} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _ratios(net: str, runtimes: list[str], kept: Path, seconds: float) -> dict[str, dict[str, float]]:
    """A step on each runtime, in milliseconds of processor time and relative to eager PyTorch's."""
    contenders = ["eager", *runtimes]
    made = files.prepare(kept, [net], contenders, [BATCH], None)
    with ExitStack() as stack:
        children = {
            name: stack.enter_context(alternation.child(name, made / net / name, BATCH, 1, None)) for name in contenders
        }
        for opened in children.values():
            opened.answer()
        taken = alternation.milliseconds(children, "step", processor=True, seconds=seconds)
    return {name: {"step_ms": taken[name], "ratio_to_eager": taken[name] / taken["eager"]} for name in runtimes}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    columns = ("export_seconds", "export_processor_seconds", "step_ms", "ratio_to_eager")
    lines = ["| net | runtime | export, s | of processor time | step, ms | to eager |", "| --- " * 6 + "|"]
    lines += [f"| {row['net']} | {row['runtime']} | {' | '.join(f'{row[c]:.2f}' for c in columns)} |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

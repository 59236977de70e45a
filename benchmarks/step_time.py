"""How long one training step takes on every contender, and in how much memory, as ratios to eager PyTorch.

    python -m benchmarks.step_time                        everything, then --docs: at most 12 minutes on two idle cores
    python -m benchmarks.step_time --quick                two small nets, batch 8, one thread; nothing is written
    python -m benchmarks.step_time --nets ResNet-8 --batches 32 --threads 1 --contenders onnx --out part.json
    python -m benchmarks.step_time --docs                 only write the tables of docs/speed.md from the last results

Every contender has a process of its own; they take turns. One thread is measured in processor time, which other
processes hardly disturb; more threads by the clock. Our programs' first update is compared with eager PyTorch's before
anything is timed. onnxruntime-training 1.19.2 needs an environment of its own: --ort-training names its Python, or
"build" makes one (about 1 GB); without, it is left out unless one was built before.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.step import alternation, files
from benchmarks.step import report as step_report
from fedrela.core.errors import MissingDependency

CONTENDERS = ("onnx", "executorch", "executorch-recipe", "ort-training")
NETS = ("small CNN", "plain CNN", "ResNet-8", "ResNet-18", "MobileNetV2", "MLP")
EVERYTHING: dict[str, Any] = {
    "nets": list(NETS), "contenders": list(CONTENDERS), "batches": [8, 32], "threads": [1, 2], "seconds": 0.8
}  # fmt: skip
QUICK = {"nets": ["small CNN", "ResNet-8"], "batches": [8], "threads": [1], "seconds": 0.3}
TOLERANCE = 1e-3  # of our updates, relative; or three times eager float32's own distance from float64, if more


def main() -> None:
    """Measure, print a table, write JSON and the documentation's tables."""
    options = options_of(sys.argv[1:])
    if options.docs:
        step_report.write_docs()
        return
    reasons: dict[str, str] = {}
    python = _ort_python(options.ort_training, reasons) if "ort-training" in options.contenders else None
    contenders = ["eager", *(name for name in options.contenders if python or name != "ort-training")]
    folder_of_nets = files.prepare(options.kept, options.nets, contenders, options.batches, python)
    rows: list[dict[str, Any]] = []
    for name in options.nets:
        folders = {contender: folder_of_nets / name / contender for contender in contenders}
        for contender in contenders:
            if (reason := files.reason(folders[contender])) is not None:
                _leave_out(name, contender, reason, folders, reasons)
        differences = _differences(name, folders, options.batches[0], python, reasons)
        for threads in options.threads:
            for batch in options.batches:
                rows += _measure(name, folders, threads, batch, python, options.seconds)
        for row in rows:
            if row["net"] == name and row["contender"] in differences:
                row["update_error"] = differences[row["contender"]]
        if options.out:
            step_report.write(options.out, _machine(), rows, reasons)
    step_report.show(rows, reasons)
    if options.out == step_report.RESULTS:
        step_report.write_docs()


def options_of(arguments: list[str]) -> argparse.Namespace:
    """What a command line asks for. What it names stays, whatever `--quick` or the defaults say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"unless told otherwise: {QUICK}")
    parser.add_argument("--docs", action="store_true", help="measure nothing, write the tables of docs/speed.md")
    of_run = parser.add_argument_group(
        "what is measured", f"by default {EVERYTHING}", argument_default=argparse.SUPPRESS
    )
    of_run.add_argument("--nets", nargs="+", choices=NETS)
    of_run.add_argument("--batches", nargs="+", type=int)
    of_run.add_argument("--threads", nargs="+", type=int)
    of_run.add_argument("--contenders", nargs="+", choices=CONTENDERS)
    of_run.add_argument("--seconds", type=float, help="per contender and setting, about")
    parser.add_argument("--ort-training", help="the Python of an environment with onnxruntime-training, or build")
    parser.add_argument("--kept", type=Path, default=Path("runs/step_time"), help="folder for lowered programs")
    parser.add_argument(
        "--out", type=Path, help=f"result file; {step_report.RESULTS.name} where everything is measured"
    )
    named = parser.parse_args(arguments)
    options = argparse.Namespace(**(EVERYTHING | (QUICK if named.quick else {}) | vars(named)))
    whole = all(vars(options)[key] == EVERYTHING[key] for key in ("nets", "batches", "threads", "contenders"))
    options.out = options.out or (step_report.RESULTS if whole else None)
    return options


def _ort_python(asked: str | None, reasons: dict[str, str]) -> Path | None:
    """The Python with onnxruntime-training; None, with the reason printed and noted, where there is none."""
    from fedrela.export.official import ort_environment  # imports torch, which nothing else here needs

    reason = "--ort-training build makes the environment that it needs"
    try:
        if asked not in (None, "build"):
            return ort_environment.environment(python=Path(asked))
        if asked == "build" or (ort_environment.DEFAULT_ENVIRONMENT / "complete").is_file():
            return ort_environment.environment(report=print)
    except MissingDependency as error:
        reason = str(error)
    print(f"  ort-training is left out: {reason}", flush=True)
    reasons["every net, ort-training"] = reason
    return None


def _leave_out(name: str, contender: str, reason: str, folders: dict[str, Path], reasons: dict[str, str]) -> None:
    """A contender that can't take a net: said, and remembered."""
    print(f"  {contender} can't take {name}: {reason}", flush=True)
    reasons[f"{name}, {contender}"] = reason
    del folders[contender]


def _differences(
    name: str, folders: dict[str, Path], batch: int, python: Path | None, reasons: dict[str, str]
) -> dict[str, float | None]:
    """How far each contender's first update is from eager PyTorch's, relative; None where dropout draws masks.

    Raises SystemExit where one of our own differs. Contenders whose process dies are left out of `folders`.
    """
    updated: dict[str, dict[str, np.ndarray]] = {}
    for contender in list(folders):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "weights.npz"
            try:
                with alternation.child(contender, folders[contender], batch, 1, python) as opened:
                    opened.answer()
                    opened.ask("step 1")
                    opened.ask(f"weights {path}")
                updated[contender] = dict(np.load(path))
            except RuntimeError as error:
                _leave_out(name, contender, str(error), folders, reasons)
    if set(np.load(folders["eager"] / f"batch-{batch}.npz").files) - {"x", "y", "sample_weight"}:
        return {}  # eager PyTorch draws its own masks; export verifies such programs with supplied ones
    before = dict(np.load(folders["eager"] / "start.npz"))
    want = {key: value - before[key] for key, value in updated.pop("eager").items()}
    size = sum(float(np.square(change).sum()) for change in want.values())
    rounding = json.loads((folders["eager"] / files.ROUNDING).read_text())[str(batch)]
    allowed = max(TOLERANCE, 3 * rounding)
    errors: dict[str, float | None] = {}
    for contender, weights in updated.items():
        off = sum(float(np.square(weights[key] - before[key] - change).sum()) for key, change in want.items())
        errors[contender] = error = float(np.sqrt(off / size))
        if contender in ("onnx", "executorch") and not error < allowed:
            raise SystemExit(
                f"{contender} disagrees with eager PyTorch on {name}: relative error {error:.2g}, allowed {allowed:.2g}"
            )
    return errors


def _measure(
    name: str, folders: dict[str, Path], threads: int, batch: int, python: Path | None, seconds: float
) -> list[dict[str, Any]]:
    """One row per contender, for steps and, where it has one, predictions."""
    rows = []
    with ExitStack() as stack:
        children = {
            contender: stack.enter_context(alternation.child(contender, folder, batch, threads, python))
            for contender, folder in folders.items()
        }
        for contender, opened in list(children.items()):
            try:
                opened.answer()
            except RuntimeError as error:
                print(f"  {contender} can't take {name} at batch {batch}: {error}", flush=True)
                del children[contender]
        for what in ("step", "predict"):
            taken = alternation.milliseconds(children, what, processor=threads == 1, seconds=seconds)
            for contender, milliseconds in taken.items():
                row = {"net": name, "what": what, "contender": contender, "threads": threads, "batch": batch}
                row |= {"milliseconds": milliseconds, "ratio": milliseconds / taken["eager"]}
                if what == "step":
                    row["peak_mb"] = children[contender].ask("peak")
                rows.append(row)
                print(f"  {step_report.line(row)}", flush=True)
    return rows


def _machine() -> dict[str, Any]:
    packages = {name: metadata.version(name) for name in ("torch", "onnxruntime", "executorch")}
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    processor = names[0].partition(":")[2].strip() if names else platform.machine()
    return {"processor": processor, "cores": os.cpu_count(), "load": os.getloadavg()[1], **packages}


if __name__ == "__main__":
    main()

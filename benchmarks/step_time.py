"""How long one training step takes on every contender, as a ratio to eager PyTorch in the same run.

    python -m benchmarks.step_time                        everything: six nets, batch 8 and 32, one thread and two
    python -m benchmarks.step_time --nets "ResNet-8" --batches 32 --threads 1 --contenders onnx

Contenders take turns, step by step, so that a busy machine slows all alike; the figure is the median. One thread is
measured in processor time, which other processes hardly disturb; more threads by the clock. Every contender's step
is compared with eager PyTorch's before it is timed. Results go to benchmarks/results/step_time.json. Lowering the nets
takes minutes; the programs are kept in --kept.
"""

import argparse
import json
import math
import os
import platform
import statistics
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import step_contenders, step_memory
from benchmarks.step_contenders import Action, Work
from benchmarks.step_models import NETS, Lowered, lowered

RESULTS = Path(__file__).parent / "results" / "step_time.json"
CONTENDERS = ("onnx", "executorch", "executorch-recipe")
WARM, FEWEST, SECONDS = 2, 7, 5.0  # steps before timing; timed steps at least; seconds per setting


def main() -> None:
    """Measure, print a table, write JSON."""
    options = _options()
    runtimes = tuple(runtime for runtime in ("onnx", "executorch") if runtime in options.contenders)
    rows: list[dict[str, Any]] = []
    memory = {}
    for name in options.nets:
        programs = lowered(name, runtimes, options.kept)
        for threads in options.threads:
            for batch in options.batches:
                rows += _measure(name, programs, options.contenders, threads, batch)
        if "onnx" in runtimes and not options.no_memory:
            memory[name] = step_memory.compare(name, programs, max(options.batches))
            print(f"  peak memory, MB: {memory[name]}", flush=True)
        if not options.no_write:
            _write(rows, memory)
    _print(rows, _summary(rows))


def _write(rows: list[dict[str, Any]], memory: dict[str, dict[str, float]]) -> None:
    """What is known so far: a run that is stopped half-way leaves its nets behind."""
    RESULTS.parent.mkdir(exist_ok=True)
    text = {"machine": _machine(), "rows": rows, "geometric_means": _summary(rows), "peak_memory": memory}
    RESULTS.write_text(json.dumps(text, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=NETS, default=list(NETS))
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 32])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--contenders", nargs="+", choices=CONTENDERS, default=list(CONTENDERS))
    parser.add_argument("--kept", type=Path, default=Path("runs/step_time"), help="folder for lowered programs")
    parser.add_argument("--no-memory", action="store_true", help="leave the peak memory out")
    parser.add_argument("--no-write", action="store_true", help="leave the result file alone")
    return parser.parse_args()


def _measure(name: str, programs: Lowered, contenders: list[str], threads: int, batch: int) -> list[dict[str, Any]]:
    """One row per contender that works, for steps and, where it has one, predictions."""
    torch.set_num_threads(threads)
    given = step_contenders.work(programs, batch)
    steps: dict[str, Action] = {}
    predictions: dict[str, Action] = {}
    steps["eager"], predictions["eager"] = step_contenders.eager(name, programs, given)
    for runtime in ("onnx", "executorch"):
        if runtime in contenders:
            _check(name, runtime, programs, given, threads)
            steps[runtime], predictions[runtime] = step_contenders.exported(runtime, programs, given, threads)
    if "executorch-recipe" in contenders:
        recipe = step_contenders.executorch_recipe(name, programs, given)
        steps |= {"executorch-recipe": recipe} if recipe else {}
    rows = []
    for what, actions in (("step", steps), ("predict", predictions)):
        taken = _interleaved(actions, processor=threads == 1)
        for contender, milliseconds in taken.items():
            row = {"net": name, "what": what, "contender": contender, "threads": threads, "batch": batch}
            row |= {"milliseconds": milliseconds, "ratio": milliseconds / taken["eager"]}
            rows.append(row)
            print(f"  {_line(row)}", flush=True)
    return rows


def _check(name: str, runtime: str, programs: Lowered, given: Work, threads: int) -> None:
    """One step's loss and new weights against eager PyTorch's; raises SystemExit where they differ."""
    if given.randoms:
        return  # eager PyTorch draws its own dropout masks; export verifies these programs with supplied ones
    engine = step_contenders.engine(runtime, programs, threads)
    state = engine.start(programs.weights)
    (x,) = (item.name for item in programs.manifest.train_step.role("x"))
    batch = step_contenders.Batch({x: given.x}, given.y, given.weight, step_contenders.SETTINGS, given.randoms)
    engine.train_step(state, batch)
    ours = engine.weights(state)
    model = programs.model(NETS[name]).train()
    optimizer = torch.optim.SGD(model.parameters(), **step_contenders.SETTINGS)
    loss = torch.nn.functional.cross_entropy(model(torch.from_numpy(given.x)), torch.from_numpy(given.y))
    loss.backward()
    optimizer.step()
    change = theirs = 0.0
    for key, value in model.state_dict().items():
        if key in ours:
            want = value.numpy() - programs.weights[key]
            change += float(np.square(want - (ours[key] - programs.weights[key])).sum())
            theirs += float(np.square(want).sum())
    error = math.sqrt(change / theirs)
    if not error < 1e-3:
        raise SystemExit(f"{runtime} disagrees with eager PyTorch on {name}: relative error of the update {error:.2g}")


def _interleaved(actions: dict[str, Action], *, processor: bool) -> dict[str, float]:
    """Median milliseconds of each action; one round runs every action once."""
    clock = time.process_time if processor else time.perf_counter
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(WARM):
        for action in actions.values():
            action()
    begin = time.perf_counter()
    rounds = 0
    while rounds < FEWEST or (rounds < 60 and time.perf_counter() - begin < SECONDS):
        for name, action in actions.items():
            start = clock()
            action()
            taken[name].append(clock() - start)
        rounds += 1
    return {name: 1000 * statistics.median(values) for name, values in taken.items()}


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Geometric mean and largest ratio over the convolutional nets, per contender and setting."""
    settings = sorted(
        {(r["what"], r["contender"], r["threads"], r["batch"]) for r in rows if r["contender"] != "eager"}
    )
    result = []
    for setting in settings:
        ratios = [
            r["ratio"]
            for r in rows
            if (r["what"], r["contender"], r["threads"], r["batch"]) == setting and NETS[r["net"]].convolutional
        ]
        if ratios:
            mean = math.exp(statistics.fmean(map(math.log, ratios)))
            keys = dict(zip(("what", "contender", "threads", "batch"), setting, strict=True))
            result.append(keys | {"geometric_mean": mean, "largest": max(ratios), "nets": len(ratios)})
    return result


def _print(rows: list[dict[str, Any]], summary: list[dict[str, Any]]) -> None:
    print("\nnet           what     contender          threads batch       ms  ratio")
    for row in rows:
        print(_line(row))
    print("\ngeometric mean over convolutional nets (largest)")
    for row in summary:
        where = f"{row['what']:8s} {row['contender']:18s} {row['threads']:7d} {row['batch']:5d}"
        print(f"{'':13s} {where} {row['geometric_mean']:8.2f}  ({row['largest']:.2f}, {row['nets']} nets)")


def _line(row: dict[str, Any]) -> str:
    where = f"{row['net']:13s} {row['what']:8s} {row['contender']:18s} {row['threads']:7d} {row['batch']:5d}"
    return f"{where} {row['milliseconds']:8.2f} {row['ratio']:6.2f}"


def _machine() -> dict[str, Any]:
    packages = {name: metadata.version(name) for name in ("torch", "onnxruntime", "executorch")}
    return {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count(), **packages}


if __name__ == "__main__":
    main()

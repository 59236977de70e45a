"""What `benchmarks.step_time` found: a table on screen, JSON, and the tables of README.md and docs/speed.md."""

import json
import math
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "step_time.json"
RELABEL = ROOT / "benchmarks" / "results" / "relabel_time.json"
DOCS = ROOT / "docs" / "speed.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- tables of benchmarks.step_time: begin -->", "<!-- tables of benchmarks.step_time: end -->"
WRONG = 0.1  # an update's relative error that no rounding explains, nor the weight decay that one contender lacks
DENSE = "MLP"  # the one net without convolutions: in no mean
TITLES = {
    "eager": "eager PyTorch",
    "onnx": "ONNX",
    "executorch": "ExecuTorch",
    "executorch-recipe": "ExecuTorch's own recipe",
    "ort-training": "onnxruntime-training",
}
Row = dict[str, Any]


def line(row: Row) -> str:
    """One row for the screen."""
    where = f"{row['net']:13s} {row['what']:8s} {row['contender']:18s} {row['threads']:7d} {row['batch']:5d}"
    memory = f" {row['peak_mb']:8.0f}" if "peak_mb" in row else ""
    return f"{where} {row['milliseconds']:9.2f} {row['ratio']:6.2f}{memory}"


def means(rows: list[Row]) -> list[Row]:
    """Geometric mean and largest ratio over the convolutional nets, per contender and setting."""
    keys = ("what", "contender", "threads", "batch")
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if row["contender"] != "eager" and row["net"] != DENSE:
            groups.setdefault(tuple(row[key] for key in keys), []).append(row["ratio"])
    return [
        dict(zip(keys, group, strict=True))
        | {"geometric_mean": math.exp(statistics.fmean(map(math.log, ratios)))}
        | {"largest": max(ratios), "nets": len(ratios)}
        for group, ratios in groups.items()
    ]


def show(rows: list[Row], reasons: dict[str, str]) -> None:
    """Everything, on screen."""
    print("\nnet           what     contender          threads batch        ms  ratio  peak MB")
    for row in rows:
        print(line(row))
    print("\ngeometric mean over convolutional nets (largest)")
    for row in means(rows):
        where = f"{row['what']:8s} {row['contender']:18s} {row['threads']:7d} {row['batch']:5d}"
        print(f"{'':13s} {where} {'':9s} {row['geometric_mean']:6.2f}  ({row['largest']:.2f}, {row['nets']} nets)")
    for what, reason in reasons.items():
        print(f"left out: {what}: {reason}")


def write(path: Path, machine: Row, rows: list[Row], reasons: dict[str, str]) -> None:
    """Results so far: a run that is stopped half-way leaves its nets behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {"machine": machine, "rows": rows, "geometric_means": means(rows), "left_out": reasons}
    path.write_text(json.dumps(text, indent=1) + "\n")


def write_docs() -> None:
    """Replace what stands between the two markers of README.md and of docs/speed.md by tables of the last results."""
    results = json.loads(RESULTS.read_text())
    for path, tables in ((DOCS, _tables(results)), (README, _means(results))):
        before, _, rest = path.read_text().partition(BEGIN)
        _, _, after = rest.partition(END)
        path.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}")
        print(f"wrote the tables of {path.relative_to(ROOT)}")


def _settings(results: dict[str, Any]) -> tuple[list[tuple[int, int]], list[str]]:
    """Threads and batch sizes that were measured, and how a table names them."""
    settings = sorted({(row["threads"], row["batch"]) for row in results["rows"]})
    return settings, [f"{threads} thread{'s' if threads > 1 else ''}, batch {batch}" for threads, batch in settings]


def _means(results: dict[str, Any]) -> str:
    settings, heads = _settings(results)
    title = "Time as a ratio to eager PyTorch, geometric mean over the convolutional nets, and the largest:\n"
    return title + _table(["what", "with", *heads], _mean_cells(results["geometric_means"], settings))


def _tables(results: dict[str, Any]) -> str:
    rows, machine = results["rows"], results["machine"]
    settings, heads = _settings(results)
    steps = [row for row in rows if row["what"] == "step"]
    packages = ", ".join(f"{name} {machine[name]}" for name in ("torch", "onnxruntime", "executorch"))
    parts = [
        f"Measured on {machine['cores']} cores of {machine['processor']} (load {machine['load']:.1f}) with",
        f"{packages}.\n",
        "Milliseconds of one training step, and the ratio to eager PyTorch in the same run:",
        _table(["net", "contender", *heads], _cells(steps, settings)),
        "Geometric mean over the convolutional nets, and the largest ratio:",
        _table(["what", "contender", *heads], _mean_cells(results["geometric_means"], settings)),
        "Ratio of one prediction to eager PyTorch's:",
        _table(["net", "contender", *heads], _ratio_cells([r for r in rows if r["what"] == "predict"], settings)),
        "Peak memory of the whole training process in MB, imports included, and the ratio to eager PyTorch's:",
        _table(["net", "contender", *heads], _memory_cells(steps, settings)),
    ]
    if results["left_out"]:
        parts.append("Left out:")
        parts.append("\n".join(f"- {what}: {reason}" for what, reason in results["left_out"].items()) + "\n")
    if RELABEL.exists():
        relabel = json.loads(RELABEL.read_text())
        seconds, share = f"{relabel['relabel_seconds']:.2f}", f"{relabel['ratio']:.2f}"
        parts.append(
            f"Re-labeling {relabel['samples']} samples of {relabel['classes']} classes takes {seconds} s of one"
        )
        parts.append(f"core, {share} of what the small CNN takes to predict them.\n")
    return "\n".join(parts)


def _table(head: list[str], body: Iterable[list[str]]) -> str:
    rows = [head, ["---"] * len(head), *body]
    return "\n" + "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _grouped(rows: list[Row], first: str = "net") -> dict[tuple[str, str], dict[tuple[int, int], Row]]:
    groups: dict[tuple[str, str], dict[tuple[int, int], Row]] = {}
    for row in rows:
        groups.setdefault((row[first], row["contender"]), {})[row["threads"], row["batch"]] = row
    return groups


def _cells(rows: list[Row], settings: list[tuple[int, int]]) -> Iterable[list[str]]:
    for (net, contender), measured in _grouped(rows).items():
        wrong = any((row.get("update_error") or 0) > WRONG for row in measured.values())
        texts = [
            f"{measured[s]['milliseconds']:.1f} ({measured[s]['ratio']:.2f})" if s in measured else "" for s in settings
        ]
        yield [net, TITLES[contender] + (", wrong update" if wrong else ""), *texts]


def _ratio_cells(rows: list[Row], settings: list[tuple[int, int]]) -> Iterable[list[str]]:
    for (net, contender), measured in _grouped(rows).items():
        if contender != "eager":
            yield [
                net,
                TITLES[contender],
                *(f"{measured[s]['ratio']:.2f}" if s in measured else "" for s in settings),
            ]


def _mean_cells(rows: list[Row], settings: list[tuple[int, int]]) -> Iterable[list[str]]:
    for (what, contender), measured in _grouped(rows, "what").items():
        texts = [
            f"{measured[s]['geometric_mean']:.2f} (at most {measured[s]['largest']:.2f}, {measured[s]['nets']} nets)"
            if s in measured
            else ""
            for s in settings
        ]
        yield [what, TITLES[contender], *texts]


def _memory_cells(rows: list[Row], settings: list[tuple[int, int]]) -> Iterable[list[str]]:
    eager = {(r["net"], r["threads"], r["batch"]): r["peak_mb"] for r in rows if r["contender"] == "eager"}
    for (net, contender), measured in _grouped(rows).items():
        texts = [
            f"{measured[s]['peak_mb']:.0f} ({measured[s]['peak_mb'] / eager[net, *s]:.2f})" if s in measured else ""
            for s in settings
        ]
        yield [net, TITLES[contender], *texts]

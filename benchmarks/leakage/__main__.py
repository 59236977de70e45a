"""What does an update tell an honest but curious coordinator about the classes that its device has?

    python -m benchmarks.leakage              # about ten minutes on one core; two seeds
    python -m benchmarks.leakage --quick      # about a minute; one seed, nothing is written

The demo's fleet (scikit-learn's digits, 12 devices, long tail 50:1, Dirichlet 0.1, 20 rounds, re-labels from round 17)
trains as devices do. From each upload, or from sums of several, six published attacks guess the device's class
histogram; the table has the best of the six by each measure, beside guesses that see no update. Writes every attack to
benchmarks/results/leakage.json, and the table of docs/privacy.md. The same code gives the same numbers on the same
machine.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks import pages
from benchmarks.leakage import experiments, fleet, measures, table
from benchmarks.leakage.experiments import CLIP_NORM, Bench, Scored
from benchmarks.leakage.fleet import Observed
from benchmarks.leakage.shadow import View

COMMAND = "benchmarks.leakage"
RESULTS = Path(__file__).parents[1] / "results" / "leakage.json"


@dataclass(frozen=True)
class Size:
    """How much is measured. `early`, `late`: rounds before and after the re-labels."""

    seeds: tuple[int, ...] = (1, 2)
    shadows: int = 100
    draws: int = 15
    early: int = 16
    late: int = 18
    members: tuple[int, ...] = (2, 5, 10)
    multipliers: tuple[float, ...] = (0.1, 0.3, 1.0)  # of the noise


QUICK = Size(seeds=(1,), shadows=30, draws=4, members=(2, 10), multipliers=(0.3,))


def main() -> None:
    """Measure, print, and unless `--quick` write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed and fewer attacked uploads; write nothing")
    quick = parser.parse_args().quick
    with threadpool_limits(1):  # one core is enough, and the same sums
        _run(quick)


def _run(quick: bool) -> None:
    size, started = QUICK if quick else Size(), time.process_time()
    rows_of: dict[str, list[Scored]] = {}
    accuracies_of: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = fleet.export(Path(folder) / "bundle")
    for done, seed in enumerate(size.seeds, 1):
        observed = fleet.train(model, seed)
        for name, row in measured(observed, size):
            rows_of.setdefault(name, []).append(row)
            print(f"{time.process_time() - started:6.0f} s  seed {seed}: {name}", file=sys.stderr, flush=True)
        for name, accuracy in costs(observed, size):
            accuracies_of.setdefault(name, []).append(accuracy)
        rows = {name: _mean_rows(rows) for name, rows in rows_of.items()}
        accuracy = {name: measures.mean(accuracies) for name, accuracies in accuracies_of.items()}
        seconds = round(time.process_time() - started)
        document = {
            "seeds": size.seeds[:done],
            "processor_seconds": seconds,
            **_finite({"rows": rows, "accuracy": accuracy}),
        }
        if not quick:  # after each seed, so that a run that is broken off leaves what it has
            RESULTS.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
            pages.write(pages.PRIVACY, COMMAND, table.text(document))
    print(table.text(document))


def measured(observed: Observed, size: Size) -> Iterator[tuple[str, Scored]]:
    """All rows of one seed: what is held, and how well each attack does."""
    times = {"round 1": 1, "before the re-labels": size.early, "after the re-labels": size.late}
    bench = Bench(observed, size.shadows, size.draws)
    yield "nothing (chance)", measures.chance(observed.counts)
    for encoding in ("float32", "int8", "top-k"):
        run = observed if encoding == "float32" else fleet.train(observed.model, observed.seed, encoding)
        one = bench if run is observed else Bench(run, size.shadows, size.draws)
        for when, number in times.items():
            yield f"one upload, {encoding}, {when}", experiments.single(one, number, View())
    yield "first upload of a newcomer, after the re-labels", experiments.newcomers(bench, size.late)
    for members in size.members:
        for when, number in times.items():
            about_a_member, about_the_sum = experiments.sums(bench, number, View(members))
            yield f"sum of {members}, {when}: about a member", about_a_member
            yield f"sum of {members}, {when}: about the sum", about_the_sum
    for members in size.members:
        row = experiments.changing_groups(bench, size.early, members)
        yield f"sums of {members}, changing groups over {size.early} rounds: about a member", row
    for multiplier in size.multipliers:
        alone, together = View(1, CLIP_NORM, multiplier), View(size.members[-1], CLIP_NORM, multiplier)
        yield f"one upload, clipped, noise {multiplier}, round 1", experiments.single(bench, 1, alone)
        about_a_member, _ = experiments.sums(bench, 1, together)
        yield f"sum of {together.members}, clipped, noise {multiplier}, round 1: about a member", about_a_member


def costs(observed: Observed, size: Size) -> Iterator[tuple[str, dict[str, float]]]:
    """What clipping and noise cost in accuracy."""
    yield "nothing", observed.accuracy
    for multiplier in size.multipliers:
        left = fleet.accuracy_with_noise(observed.model, observed.seed, clip_norm=CLIP_NORM, multiplier=multiplier)
        yield f"clipped, noise {multiplier}", left


def _mean_rows(rows: list[Scored]) -> Scored:
    return {attack: measures.mean([row[attack] for row in rows]) for attack in rows[0]}


def _finite(value: Any) -> Any:
    """Rounded to four places, and null for what is not a number: an AUC where all classes are there."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return None if math.isnan(value) else round(value, 4)


if __name__ == "__main__":
    main()

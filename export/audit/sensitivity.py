"""How each tensor of an update moves when nothing but the labels changes: the golden step, run again with other labels.

sensitivities(manifest, run)["bias"].by_labels      # 0.8: what other labels make of it, relative to its own change
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fedrela.core import golden
from fedrela.core.bundle import Manifest
from fedrela.core.tensors import Array

Run = Callable[[dict[str, Array]], Mapping[str, Array]]


@dataclass(frozen=True)
class Sensitivity:
    """Of one tensor: its largest change in a step, and the largest difference that other labels make, relative."""

    change: float
    by_labels: float


def sensitivities(manifest: Manifest, run: Run) -> dict[str, Sensitivity]:
    """By name of a tensor that travels. Labels are shifted by one class, reversed in order, and all made equal."""
    fed = golden.inputs(manifest, "train_step", 0)
    (labels,) = manifest.train_step.role("y")
    y = np.asarray(fed[labels.name])
    before = run(dict(fed))
    others = [
        run({**fed, labels.name: other}) for other in ((y + 1) % manifest.classes, y[::-1].copy(), np.zeros_like(y))
    ]
    found = {}
    for spec in manifest.weights:
        new = f"new.{spec.name}"
        change = _largest(before[new] - fed[spec.name])
        moved = max(_largest(np.asarray(other[new]) - before[new]) for other in others)
        relative = moved / change if change else np.inf
        found[spec.name] = Sensitivity(change, relative if moved else 0.0)
    return found


def _largest(values: Array) -> float:
    return float(np.abs(np.asarray(values, np.float64)).max(initial=0.0))

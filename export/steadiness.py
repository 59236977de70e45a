"""Whether float32 decides a step's outcome, or rounding does.

Where an activation lies within rounding of a kink (ReLU6 at 6, a tie in a pooling), two right implementations may take
different sides, and all gradients before it differ. Such data prove nothing, so the exporter draws others: it moves
every parameter by about a float32's rounding, once up and once down, and looks whether the exact gradients follow
smoothly. May import numpy, `core` and nothing else.

    touchy(manifest, exact.train_step, given, exact.train_step(given))      # set(): these data will do
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from core import golden
from core.bundle import Manifest
from core.tensors import Array

# Eager float32 may itself be this far off, relative; beyond it an output is called rounding noise. A runtime that adds
# in another order is easily ten times less exact than eager where terms cancel: a tenth of what a runtime is allowed.
NOISE = 1e-5
ROUNDING = 1e-6  # relative: some roundings of float32 (6e-8), which a sum of many terms comes to
JUMP = 5e-5  # relative change of an output beyond which it did not follow smoothly
DRAWS = 4  # before the best of them has to do

Step = Callable[[dict[str, Array]], dict[str, Array]]


def touchy(manifest: Manifest, exact: Step, given: Mapping[str, Array], truth: Mapping[str, Array]) -> set[str]:
    """The outputs of one training step that jump. `exact` computes in float64, and gave `truth` for `given`."""
    before = {f"new.{name}": value for name, value in given.items()}
    found: set[str] = set()
    for sign in (1.0, -1.0):
        moved = nudged(manifest, exact, sign)(dict(given))
        for name in _followed(truth):
            if not golden.relative_error(truth[name], moved[name], before.get(name, 0.0)) <= JUMP:
                found.add(name)
    return found


def nudged(manifest: Manifest, exact: Step, sign: float) -> Step:
    """`exact` from parameters that are moved by a rounding; what it returns is moved back."""

    def step(given: dict[str, Array]) -> dict[str, Array]:
        generator = np.random.default_rng(0)
        moves = {
            item.name: sign * ROUNDING * generator.standard_normal(given[item.name].shape) * given[item.name]
            for item in manifest.train_step.role("parameter")
        }
        outputs = exact(given | {name: given[name] + move for name, move in moves.items()})
        return outputs | {f"new.{name}": outputs[f"new.{name}"] - move for name, move in moves.items()}

    return step


def golden_jumps(manifest: Manifest, truth: Mapping[str, Array], runs: tuple[Step, Step, Step]) -> set[str]:
    """The golden outputs that jump. `runs`: train_step, predict and relabel in float64, which gave `truth`."""
    train_step, predict, relabel = runs
    found: set[str] = set()
    for sign in (1.0, -1.0):
        moved = golden.run(manifest, nudged(manifest, train_step, sign), predict, relabel)
        errors = golden.errors(manifest, truth, moved)
        found |= {name for name in _followed(truth) if not errors[name] <= JUMP}
    return found


def _followed(names: Iterable[str]) -> list[str]:
    """All but the count of right answers, which jumps by nature and is compared all the same."""
    return [name for name in names if not name.endswith("correct_sum")]

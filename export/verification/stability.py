"""Whether float32 decides a step's outcome, or rounding does.

Where an activation lies within rounding of a kink (ReLU6 at 6, a tie in a pooling), two right implementations may take
different sides, and all gradients before it differ. Such data prove nothing, so the exporter draws others: it moves
every parameter by some roundings of float32, in a few directions and their opposites, and looks whether both changes of
an output cancel, as they do where it follows smoothly.

    found = response(manifest, reference.train_step, inputs, reference.train_step(inputs))
    found.discontinuities       # {}: these data will do
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple, TypeVar

import numpy as np

from fedrela.core import golden
from fedrela.core.bundle import Manifest
from fedrela.core.tensors import Array

# Eager float32 may itself be this far off, relative; beyond it an output is called rounding noise. A runtime that adds
# in another order is easily ten times less exact than eager where terms cancel: a tenth of what a runtime is allowed.
NOISE = 1e-5
ROUNDING = 1e-5  # relative: what roundings of float32 (6e-8) come to in long sums and over the steps that went before
NOTHING_BUT_NOISE = 0.1  # off by more than this, relative, it says nothing at all; a unit beyond its kink makes less
DISCONTINUITY = 1e-4  # relative change of an output beyond which it did not follow smoothly
PERTURBATIONS = (0, 1)  # seeds of directions: one direction may miss a unit at its kink
MORE_PERTURBATIONS = (2, 3, 4, 5)
DRAWS = 4  # before the best of them has to do
FEW = 4  # outputs are discontinuous: perhaps none is in another draw; if more are, some will be in every draw
TIMES = 3.0  # the discontinuity that was seen: as far as a runtime with other roundings may be off

T = TypeVar("T")
Step = Callable[[dict[str, Array]], dict[str, Array]]


class Response(NamedTuple):
    """What roundings of the parameters make of one training step.

    discontinuities: the outputs that don't follow them smoothly, and by how much; loss: how far its loss goes with
    them. A runtime whose own steps ended in other roundings is that far off in the next loss.
    """

    discontinuities: dict[str, float]
    loss: float


def most_stable(draw: Callable[[int], tuple[Collection[str], T]]) -> tuple[Collection[str], T]:
    """The discontinuous outputs, and the data: of the first draw in which none is, else of that in which fewest are.

    `draw` is asked for numbers 0, 1, ...; after one in which more than a few are, no other is tried.
    """
    drawn: list[tuple[Collection[str], T]] = []
    for number in range(DRAWS):
        drawn.append(draw(number))
        if not 0 < len(drawn[-1][0]) <= FEW:
            break
    return min(drawn, key=lambda one: len(one[0]))


def response(
    manifest: Manifest,
    step: Step,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    directions: Iterable[int] = PERTURBATIONS,
) -> Response:
    """Of one training step. `step` gave `outputs` for `inputs`.

    Where it computes in float32, what is rounding noise anyway (see `noise`) counts as discontinuous as well.
    """
    largest: dict[str, float] = {}
    loss = 0.0
    for direction in directions:
        moves = moves_of(manifest, direction)
        plus, minus = (perturbed(step, moves, sign)(dict(inputs)) for sign in (1.0, -1.0))
        largest = elementwise_maximum(largest, asymmetries(inputs, outputs, plus, minus))
        loss = max(loss, *(abs(float(moved["loss_sum"] - outputs["loss_sum"])) for moved in (plus, minus)))
    return Response(largest, loss)


def asymmetries(
    inputs: Mapping[str, Array], outputs: Mapping[str, Array], plus: Mapping[str, Array], minus: Mapping[str, Array]
) -> dict[str, float]:
    """The outputs of one training step whose changes under two opposite perturbations don't cancel, and by how much."""
    magnitudes: dict[str, float] = {}
    for name in _followed(outputs):
        mirrored = plus[name] + minus[name] - outputs[name]  # as it was, had it followed smoothly
        if not error(inputs, name, outputs[name], mirrored) <= DISCONTINUITY:
            magnitudes[name] = float(np.abs(mirrored - outputs[name]).max(initial=0.0))
    return magnitudes


def golden_discontinuities(
    manifest: Manifest,
    recorded: Mapping[str, Array],
    runs: tuple[Step, Step, Step],
    fed: golden.Given | None = None,
    directions: Iterable[int] = PERTURBATIONS,
) -> dict[str, float]:
    """The golden outputs that are discontinuous, and by how much, relative.

    runs: train_step, predict and relabel, which gave `recorded`; fed: see `fedrela.core.golden.run`.
    """
    train_step, predict, relabel = runs
    largest: dict[str, float] = {}
    for direction in directions:
        moves = moves_of(manifest, direction)
        plus, minus = (
            golden.run(manifest, perturbed(train_step, moves, sign), predict, relabel, fed=fed) for sign in (1.0, -1.0)
        )
        errors = golden.errors(
            manifest, recorded, {name: plus[name] + minus[name] - recorded[name] for name in recorded}
        )
        largest = elementwise_maximum(
            largest, {name: errors[name] for name in _followed(recorded) if not errors[name] <= DISCONTINUITY}
        )
    return largest


def elementwise_maximum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    """What is discontinuous in either, with the larger of its two magnitudes."""
    return {name: max(one.get(name, 0.0), other.get(name, 0.0)) for name in {**one, **other}}


def noise(
    inputs: Mapping[str, Array], exact: Mapping[str, Array], outputs: Mapping[str, Array], beyond: float = NOISE
) -> set[str]:
    """The outputs of one step in float32 that are rounding noise: off from those in float64 by more than `beyond`.

    What is not finite is none: no rounding makes a NaN, and one that counted as noise would be compared with nothing.
    """
    finite = [name for name, value in outputs.items() if np.isfinite(value).all()]
    return {name for name in finite if not error(inputs, name, exact[name], outputs[name]) <= beyond}


def moves_of(manifest: Manifest, direction: int) -> dict[str, Array]:
    """How far each parameter's elements move in a direction, in units of ROUNDING."""
    generator = np.random.default_rng(direction)
    shapes = {item.name: tuple(map(int, item.shape)) for item in manifest.train_step.role("parameter")}
    return {name: generator.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}


def perturbed(run: Step, moves: Mapping[str, Array], sign: float) -> Step:
    """`run` from parameters that are moved by roundings; what it returns is moved back."""

    def step(inputs: dict[str, Array]) -> dict[str, Array]:
        moved = {name: _moved(inputs[name], sign * ROUNDING * move) for name, move in moves.items()}
        outputs = run(inputs | moved)
        for name, value in moved.items():  # in place: a large model's arrays take longer to make than to fill
            value -= inputs[name]
            outputs[f"new.{name}"] -= value
        return outputs

    return step


def _moved(value: Array, factor: Array) -> Array:
    """value * (1 + factor), in the memory of `factor`, which has its dtype."""
    factor += 1
    factor *= value
    return factor


def error(inputs: Mapping[str, Array], name: str, expected: Array, actual: Array, slack: float = 0.0) -> float:
    """The relative error of one output of a training step on `inputs`; of state, that of its change."""
    before = inputs[name.removeprefix("new.")] if name.startswith("new.") else 0.0
    return golden.relative_error(np.asarray(expected), np.asarray(actual), before, slack)


def _followed(names: Iterable[str]) -> list[str]:
    """All but the count of right answers, which is discontinuous by nature and is compared all the same."""
    return [name for name in names if not name.endswith("correct_sum")]

"""The golden steps that an official training layout is held against, in eager PyTorch.

steps = golden_steps(planned, {"momentum": 0.0})
compare("ort-training", steps, [{"loss": ..., "correct_sum": ..., "new.head.weight": ...}, ...], 1e-4)
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from fedrela.core import golden
from fedrela.core.bundle import Manifest
from fedrela.core.tensors import Array
from fedrela.export.inputs import NEUTRAL_UNIFORM
from fedrela.export.official.forward import Plan
from fedrela.export.verification import equality, stability
from fedrela.export.verification.reference import Reference
from fedrela.export.verification.stability import Step

Truth = Mapping[str, Array]  # a step's outputs in float64
Magnitudes = Mapping[str, float]  # how discontinuous outputs are, by name


@dataclass(frozen=True)
class GoldenStep:
    """Inputs of one golden step by name, and what eager PyTorch made of them, as far as float32 determines it.

    slack: how much further than the tolerance an output may be off, as `fedrela.core.golden` has it.
    """

    inputs: dict[str, Array]
    expected: dict[str, Array]
    slack: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Course:
    """The golden steps of one seed, each from the state that the last one left; `hyperparameters` replace defaults."""

    manifest: Manifest
    hyperparameters: Mapping[str, Array]

    def run(self, step: Step) -> list[GoldenStep]:
        """All steps."""
        taken: list[GoldenStep] = []
        carried: dict[str, Array] = {}
        for number in range(self.manifest.golden.steps):
            inputs = {**golden.inputs(self.manifest, "train_step", number), **carried, **self.hyperparameters}
            taken.append(GoldenStep(inputs, step(inputs)))
            new = {name: value for name, value in taken[-1].expected.items() if name.startswith("new.")}
            carried = {name.removeprefix("new."): value for name, value in new.items()}
        return taken

    def discontinuities(self, step: Step, taken: list[GoldenStep], directions: Iterable[int]) -> list[Magnitudes]:
        """Of each step, the outputs that are discontinuous, and by how much."""
        largest: list[Magnitudes] = [{} for _ in taken]
        for direction in directions:
            moves = stability.moves_of(self.manifest, direction)
            plus, minus = (self.run(stability.perturbed(step, moves, sign)) for sign in (1.0, -1.0))
            for number, (one, up, down) in enumerate(zip(taken, plus, minus, strict=True)):
                magnitudes = stability.asymmetries(one.inputs, one.expected, up.expected, down.expected)
                largest[number] = stability.elementwise_maximum(largest[number], magnitudes)
        return largest


def golden_steps(planned: Plan, hyperparameters: Mapping[str, float]) -> list[GoldenStep]:
    """The golden steps in eager PyTorch, with `hyperparameters` in place of some defaults.

    What is nothing but rounding (the gradient of a bias before a BatchNorm) isn't expected. Where rounding decides some
    of an output, it gets slack, as in `fedrela.export.verification.recording`.
    """
    manifest = planned.manifest()
    step = Reference(planned.model, planned.recipe, planned.analysis, manifest).train_step
    exact = Reference(planned.model, planned.recipe, planned.analysis, manifest, torch.float64).train_step
    fixed = {name: np.asarray(value, np.float32) for name, value in hyperparameters.items()}

    def draw(seed: int) -> tuple[Collection[str], tuple[_Course, list[GoldenStep], list[Truth], list[Magnitudes]]]:
        course = _Course(replace(manifest, golden=replace(manifest.golden, seed=seed)), fixed)
        taken = course.run(step)
        truth: list[Truth] = [exact(one.inputs) for one in taken]
        discontinuities = course.discontinuities(step, taken, stability.PERTURBATIONS)
        return {name for of_step in discontinuities for name in of_step} - _nothing(taken, truth), (
            course,
            taken,
            truth,
            discontinuities,
        )

    unstable, (course, taken, truth, discontinuities) = stability.most_stable(draw)
    if unstable:
        more = course.discontinuities(step, taken, stability.MORE_PERTURBATIONS)
        discontinuities = [
            stability.elementwise_maximum(one, other) for one, other in zip(discontinuities, more, strict=True)
        ]
    left_out = _nothing(taken, truth)
    return [_determined(*one, left_out) for one in zip(taken, truth, discontinuities, strict=True)]


def _nothing(taken: list[GoldenStep], truth: list[Truth]) -> set[str]:
    """What is nothing but rounding at some step: not expected of any, for it goes on into the next."""
    beyond = stability.NOTHING_BUT_NOISE
    noise = [stability.noise(one.inputs, exact, one.expected, beyond) for one, exact in zip(taken, truth, strict=True)]
    return set().union(*noise)


def _determined(step: GoldenStep, truth: Truth, discontinuities: Magnitudes, left_out: Collection[str]) -> GoldenStep:
    """`step` without what is nothing but rounding, and with slack for what rounding decides some of."""
    noise = stability.noise(step.inputs, truth, step.expected)
    rounding = {name: float(np.abs(truth[name] - step.expected[name]).max(initial=0.0)) for name in noise}
    slack = {
        name: stability.TIMES * far for name, far in stability.elementwise_maximum(discontinuities, rounding).items()
    }
    return replace(step, expected={n: v for n, v in step.expected.items() if n not in left_out}, slack=slack)


def probabilities(planned: Plan, first: GoldenStep, state: Mapping[str, Array]) -> Array:
    """What the model with `state` (parameters and statistics) predicts for the first step's examples, unaugmented."""
    reference = Reference(planned.model, planned.recipe, planned.analysis, planned.manifest())
    names = planned.recipe.augmentation_randoms()
    neutral = {name: np.full_like(first.inputs[name], NEUTRAL_UNIFORM) for name in names}
    return reference.predict(first.inputs | dict(state) | neutral)["probabilities"]


def compare(layout: str, steps: list[GoldenStep], actual: list[dict[str, Array]], tolerance: float) -> dict[str, float]:
    """Relative error by output name; each of `actual` has new.<parameter>, loss and correct_sum of one step.

    Raises VerificationFailed naming the first output beyond `tolerance`.
    """
    errors: dict[str, float] = {}
    for number, (step, outputs) in enumerate(zip(steps, actual, strict=True)):
        for name, value in outputs.items():
            if name == "loss":
                name, value = "loss_sum", value * step.inputs["sample_weight"].sum()
            if name in step.expected:
                errors[f"train_step.{number}.{name}"] = stability.error(
                    step.inputs, name, step.expected[name], value, step.slack.get(name, 0.0)
                )
    for name, error in errors.items():
        check(layout, name, error, tolerance)
    return errors


def check(layout: str, name: str, error: float, tolerance: float) -> None:
    """Raise VerificationFailed for an output that is off by more than `tolerance`."""
    if not error <= tolerance:
        raise equality.refusal(layout, name, error, tolerance, "nothing was written (--format bundle may do)")

"""The golden steps that an official training layout is held against, in eager PyTorch. May import torch, numpy, `core`
and this package.

    steps = golden_steps(planned, {"momentum": 0.0})
    judge("ort-training", steps, [{"loss": ..., "correct_sum": ..., "new.head.weight": ...}, ...], 1e-4)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from core import golden
from core.errors import VerificationFailed
from core.tensors import Array
from export import steadiness
from export.inputs import NEUTRAL_UNIFORM
from export.official_forward import Plan
from export.reference import Reference


@dataclass(frozen=True)
class GoldenStep:
    """Inputs of one golden step by name, and what eager PyTorch made of them, as far as float32 determines it."""

    given: dict[str, Array]
    expected: dict[str, Array]


def golden_steps(planned: Plan, settings: Mapping[str, float]) -> list[GoldenStep]:
    """The golden steps in eager PyTorch, with `settings` in place of some default hyperparameters.

    What eager float32 itself gets wrong (the gradient of a bias before a BatchNorm is rounding noise) isn't expected.
    """
    _, steps = steadiness.steadiest(partial(_seeded_steps, planned, settings))
    return steps


def _seeded_steps(planned: Plan, settings: Mapping[str, float], seed: int) -> tuple[set[str], list[GoldenStep]]:
    """The steps of one seed, and the outputs in them that rounding decides, which aren't expected either."""
    manifest = replace(planned.manifest(), golden=replace(planned.manifest().golden, seed=seed))
    reference = Reference(planned.model, planned.recipe, planned.survey, manifest)
    exact = Reference(planned.model, planned.recipe, planned.survey, manifest, torch.float64)
    fixed = {name: np.float32(value) for name, value in settings.items()}
    steps: list[GoldenStep] = []
    carried: dict[str, Array] = {}
    noise: set[str] = set()
    jumps: set[str] = set()
    for number in range(manifest.golden.steps):
        given = golden.inputs(manifest, "train_step", number) | carried | fixed
        outputs, truth = reference.train_step(given), exact.train_step(given)
        noise |= steadiness.noise(given, truth, outputs)
        jumps |= steadiness.jumps(manifest, reference.train_step, given, outputs).keys()
        steps.append(GoldenStep(given, outputs))
        carried = {name.removeprefix("new."): value for name, value in outputs.items() if name.startswith("new.")}
    jumps -= noise
    determined = [name for name in steps[0].expected if name not in noise | jumps]
    return jumps, [GoldenStep(step.given, {name: step.expected[name] for name in determined}) for step in steps]


def probabilities(planned: Plan, first: GoldenStep, state: Mapping[str, Array]) -> Array:
    """What the model with `state` (parameters and statistics) predicts for the first step's examples, unaugmented."""
    reference = Reference(planned.model, planned.recipe, planned.survey, planned.manifest())
    names = planned.recipe.augmentation_randoms()
    neutral = {name: np.full_like(first.given[name], NEUTRAL_UNIFORM) for name in names}
    return reference.predict(first.given | dict(state) | neutral)["probabilities"]


def judge(layout: str, steps: list[GoldenStep], actual: list[dict[str, Array]], tolerance: float) -> dict[str, float]:
    """Relative error by output name; each of `actual` has new.<parameter>, loss and correct_sum of one step.

    Raises VerificationFailed naming the first output beyond `tolerance`.
    """
    errors: dict[str, float] = {}
    for number, (step, found) in enumerate(zip(steps, actual, strict=True)):
        for name, value in found.items():
            if name == "loss":
                name, value = "loss_sum", value * step.given["sample_weight"].sum()
            if name in step.expected:
                errors[f"train_step.{number}.{name}"] = steadiness.error(step.given, name, step.expected[name], value)
    for name, error in errors.items():
        check(layout, name, error, tolerance)
    return errors


def check(layout: str, name: str, error: float, tolerance: float) -> None:
    """Raise VerificationFailed for an output that is off by more than `tolerance`."""
    if not error <= tolerance:
        raise VerificationFailed(
            f"{layout}: {name} differs from eager PyTorch by {error:.2g} (allowed: {tolerance:.0e})",
            remedy="nothing was written; report the model, or use --format bundle",
        )

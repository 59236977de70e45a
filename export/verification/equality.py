"""Proof that exported programs equal eager PyTorch, in a process that loads them as a device would.

The reference makes fresh random batches of different sizes, with padding, and steps through them; the artifact must
follow in every state tensor, loss and count, and then predict and re-label alike.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fedrela.core import golden
from fedrela.core.bundle import Manifest, Program, ProgramInput
from fedrela.core.errors import VerificationFailed
from fedrela.core.tensors import Array, Params
from fedrela.export.verification import stability
from fedrela.export.verification.replay import RESTART, ROUNDING, START

if TYPE_CHECKING:  # it needs torch, and whoever verifies on a device has none
    from fedrela.export.verification.reference import Reference

Steps = dict[str, Array]
# A step's inputs, eager PyTorch's outputs, those in float64, and what roundings make of them.
Drawn = tuple[dict[str, Array], dict[str, Array], dict[str, Array], stability.Response]
TOLERANCE = 1e-4
BATCHES = (8, 5, 6)  # of the consecutive steps: none is a multiple of another


@dataclass(frozen=True)
class VerificationResult:
    """Relative errors of one runtime by output name, of the golden steps and of the fresh ones."""

    runtime: str
    golden: dict[str, float]
    steps: dict[str, float]

    @property
    def largest(self) -> float:
        """The largest of all."""
        return max([*self.golden.values(), *self.steps.values()], default=0.0)

    @property
    def right(self) -> bool:
        """Whether no tensor is beyond TOLERANCE."""
        return self._wrong(TOLERANCE) is None

    def check(self, tolerance: float = TOLERANCE) -> None:
        """Raise VerificationFailed naming the first tensor beyond `tolerance`."""
        wrong = self._wrong(tolerance)
        if wrong is not None:
            name, error = wrong
            raise refusal(self.runtime, name, error, tolerance, "no bundle was written")

    def _wrong(self, tolerance: float) -> tuple[str, float] | None:
        """The first tensor beyond `tolerance`, and its error, which may be NaN."""
        errors = (*self.steps.items(), *self.golden.items())
        return next(((name, error) for name, error in errors if not error <= tolerance), None)


def refusal(subject: str, name: str, error: float, tolerance: float, outcome: str) -> VerificationFailed:
    """What to raise for an output of `subject` whose error is beyond the tolerance, with what became of the export."""
    if math.isfinite(error):
        return VerificationFailed(
            f"{subject}: {name} differs from eager PyTorch by {error:.2g} (allowed: {tolerance:.0e})",
            remedy=f"{outcome}; report the model, or replace the layer that this tensor belongs to",
        )
    return VerificationFailed(
        f"{subject}: {name} is not finite, or of another shape, in eager PyTorch or in the program, "
        "with random inputs and weights",
        remedy=f"{outcome}; look for a division by 0, a root or a logarithm in the model",
    )


def fresh_steps(
    reference: "Reference", exact: "Reference", manifest: Manifest, weights: Params, seed: int, thorough: bool = True
) -> Steps:
    """Inputs and eager outputs of one fresh step after another, then of predict and relabel; for
    `fedrela.export.verification.replay`.

    Starts near `weights`, a little moved so that no tensor is all zeros. `exact` is the reference in float64; where
    float32 itself is rounding noise (the gradient of a bias before a BatchNorm, say), an output gets an allowance.
    Data on which rounding decides the side of a kink are drawn again. Where some are at a kink in every draw, the
    allowance is what more perturbations make of it; without `thorough`, what the first ones do, and no more: whoever
    is right by these is right by all, and whoever isn't has to be held against the thorough ones.
    """
    generator = np.random.default_rng(seed)
    start = {name: _moved(value, generator) for name, value in weights.items()}
    anchors = {f"anchor.{name}": value * np.float32(0.9) for name, value in start.items()}
    recorded: Steps = {f"{START}/{name}": value for name, value in start.items()}
    carried: dict[str, Array] = dict(start)
    more = stability.MORE_PERTURBATIONS if thorough else ()
    for step, batch in enumerate(BATCHES):
        unstable, drawn = _stable_draw(reference, exact, manifest, batch, anchors | carried, generator, more)
        inputs, outputs, truth, response = drawn
        recorded |= _recorded(f"train_step.{step}", inputs, outputs, {*carried, *(anchors if step else ())})
        recorded |= _allowances(f"train_step.{step}", manifest, inputs, outputs, truth, response.discontinuities)
        if step:
            recorded |= _loss_allowance(f"train_step.{step}", response)
        recorded |= {f"train_step.{step}/{RESTART}": np.ones((), np.float32)} if unstable else {}
        carried = {name.removeprefix("new."): value for name, value in outputs.items() if name.startswith("new.")}
    inputs = _random_inputs(manifest, manifest.predict, BATCHES[0], generator) | start
    inputs = {item.name: inputs[item.name] for item in manifest.predict.inputs}
    recorded |= _recorded("predict.0", inputs, reference.predict(inputs), start)
    recorded |= _one_alone(reference, manifest, start, seed)
    inputs = _random_inputs(manifest, manifest.relabel, 200, generator)
    return recorded | _recorded("relabel.0", inputs, reference.relabel(inputs), ())


def _stable_draw(
    reference: "Reference",
    exact: "Reference",
    manifest: Manifest,
    batch: int,
    fixed: Mapping[str, Array],
    generator: np.random.Generator,
    more: Sequence[int],
) -> tuple[bool, Drawn]:
    """The best draw of a step, and whether something lies at a kink even there.

    If so, several do, and the first few perturbations have missed some: these directions are tried, too.
    """
    noise: set[str] = set()

    def draw(number: int) -> tuple[Collection[str], Drawn]:
        fed = {**_random_inputs(manifest, manifest.train_step, batch, generator), **fixed}
        inputs = {item.name: fed[item.name] for item in manifest.train_step.inputs}
        outputs, truth = reference.train_step(inputs), exact.train_step(inputs)
        response = stability.response(manifest, reference.train_step, inputs, outputs)
        if number == 0:  # what is noise lies in the net, not in the draw
            noise.update(stability.noise(inputs, truth, outputs, stability.NOTHING_BUT_NOISE))
        return response.discontinuities.keys() - noise, (inputs, outputs, truth, response)

    unstable, (inputs, outputs, truth, response) = stability.most_stable(draw)
    if unstable:
        others = stability.response(manifest, reference.train_step, inputs, outputs, more)
        both = stability.elementwise_maximum(response.discontinuities, others.discontinuities)
        response = stability.Response(both, max(response.loss, others.loss))
    return bool(unstable), (inputs, outputs, truth, response)


def _one_alone(reference: "Reference", manifest: Manifest, start: Params, seed: int) -> Steps:
    """A prediction of one example: a model may look at how many there are. Nothing where eager PyTorch can't."""
    fed = _random_inputs(manifest, manifest.predict, 1, np.random.default_rng((seed, 1))) | start
    inputs = {item.name: fed[item.name] for item in manifest.predict.inputs}
    try:
        outputs = reference.predict(inputs)
    except (RuntimeError, IndexError, ValueError):  # it squeezed its batch away, say
        return {}
    fits = outputs["probabilities"].shape == (1, manifest.classes)
    return _recorded("predict.1", inputs, outputs, start) if fits else {}


def _moved(value: Array, generator: np.random.Generator) -> Array:
    spread = generator.random(value.shape, dtype=np.float32)
    moved: Array = value * (1 + 0.1 * spread) + 0.05 * spread
    return moved.astype(np.float32)


def _allowances(
    prefix: str,
    manifest: Manifest,
    inputs: Mapping[str, Array],
    outputs: Mapping[str, Array],
    exact: Mapping[str, Array],
    discontinuities: Mapping[str, float],
) -> Steps:
    """What is added to the scale of a state tensor, so that a runtime may be ten times as far from float64 as eager is.

    Where eager float32 is rounding noise, or rounding decides the side of a kink, it is more: at least 1 % of the
    largest output of the same role, and enough to be three times as far from eager as roundings took it.
    """
    roles = {f"new.{item.name}": item.role for item in manifest.train_step.inputs}
    changes = {
        name: float(np.abs(value - inputs[name.removeprefix("new.")]).max(initial=0.0))
        for name, value in outputs.items()
        if name in roles
    }
    allowances: Steps = {}
    for name in changes:
        before = inputs[name.removeprefix("new.")]
        rounding = float(np.abs(exact[name] - outputs[name]).max(initial=0.0)) / stability.NOISE
        allowances[f"{prefix}/{ROUNDING}/{name}"] = np.asarray(rounding, np.float32)
        if name in discontinuities or golden.relative_error(exact[name], outputs[name], before) > stability.NOISE:
            largest = max(change for other, change in changes.items() if roles[other] == roles[name])
            discontinuity = stability.TIMES * discontinuities.get(name, 0.0) / TOLERANCE
            allowances[f"{prefix}/allow/{name}"] = np.asarray(max(0.01 * largest, rounding, discontinuity), np.float32)
    return allowances


def _loss_allowance(prefix: str, response: stability.Response) -> Steps:
    """What is added to the scale of a loss after steps of a runtime's own: its weights end in other roundings, so that
    it may be three times as far off as such roundings were seen to take it. The first step's loss gets nothing.
    """
    return {f"{prefix}/{ROUNDING}/loss_sum": np.asarray(stability.TIMES * response.loss / TOLERANCE, np.float32)}


def _recorded(
    prefix: str, inputs: Mapping[str, Array], outputs: Mapping[str, Array], known: Collection[str]
) -> dict[str, Array]:
    """`known`: the inputs that the start or the step before tells (see `fedrela.export.verification.replay`)."""
    return {f"{prefix}/in/{name}": np.asarray(value) for name, value in inputs.items() if name not in known} | {
        f"{prefix}/out/{name}": np.asarray(value) for name, value in outputs.items()
    }


def _random_inputs(
    manifest: Manifest, program: Program, batch: int, generator: np.random.Generator
) -> dict[str, Array]:
    return {
        item.name: np.asarray(_random(manifest, item, batch, generator), dtype=item.dtype) for item in program.inputs
    }


def _random(manifest: Manifest, item: ProgramInput, batch: int, generator: np.random.Generator) -> Array | float:
    """Fresh data for one input: as `fedrela.core.golden` describes roles, but drawn at random."""
    shape = tuple(batch if isinstance(size, str) else size for size in item.shape)
    if item.role in ("parameter", "buffer", "optimizer", "anchor"):
        return np.zeros(shape)
    if item.role == "x" and item.dtype == "float32":
        return generator.standard_normal(shape)
    limits = {"x": 256 if item.dtype == "uint8" else manifest.golden.token_limit}
    limit = limits.get(item.role, manifest.classes if item.role in ("y", "labels") else 0)
    if limit:
        return generator.integers(0, limit, shape)
    default = (manifest.hyperparameters or {}).get(item.name, 0.0)
    fixed: dict[str, Array | float] = {
        "weight": np.where(np.arange(shape[0] if shape else 1) < max(2, batch - 2), 1.0, 0.0),
        "hyperparameter": {"weight_decay": 0.01, "momentum": 0.9, "adam_epsilon": 1e-3}.get(item.name, default),
        "threshold_percent": 20.0,
    }
    if item.role in fixed:
        return fixed[item.role]
    values: Array = generator.random(shape, dtype=np.float32)
    if item.role in ("class_prior", "probabilities"):
        values = values / values.sum(axis=-1, keepdims=True)
    return values * 0.1 if item.role == "uniforms" else values

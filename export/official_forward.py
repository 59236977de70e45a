"""What both official training layouts start from: a module that gives the loss, and golden steps to hold them against.

Those layouts differentiate and optimise by themselves, so all they take is a forward pass whose first output is the
loss: here the weighted mean, so that padding with weight 0 counts nowhere. May import torch, `core` and this package.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from core import golden
from core.bundle import Golden, Manifest, Program, ProgramInput
from core.errors import InvalidInput, UnsupportedOperation, VerificationFailed
from core.tensors import Array
from export import program
from export.inputs import NEUTRAL_UNIFORM
from export.program import Definition, model_arguments
from export.recipe import Recipe
from export.reference import Reference
from export.rewriting import Rewriting
from export.survey import Survey

FED = ("x", "y", "weight", "random", "class_prior")  # roles that the forward pass takes, in the order of train_step
OUTPUTS = ("loss", "correct_sum", "probabilities")


@dataclass(frozen=True)
class Plan:
    """A model, surveyed for an official layout."""

    model: nn.Module
    recipe: Recipe
    survey: Survey
    definitions: Mapping[str, Definition]

    @property
    def step(self) -> Definition:
        """The bundle's training step, which the layout must equal."""
        return self.definitions["train_step"]

    @property
    def fed(self) -> tuple[ProgramInput, ...]:
        """Inputs of the forward pass, in order."""
        return tuple(item for item in self.step.inputs if item.role in FED)

    def start(self) -> dict[str, Array]:
        """The model's trained parameters."""
        own = self.survey.parameters(self.model)
        return {name: value.detach().to(torch.float32).numpy().copy() for name, value in own.items()}

    def manifest(self) -> Manifest:
        """What the golden steps need to know of the model; it names no file."""
        limit = max((raw.token_limit for raw in self.recipe.inputs), default=0)
        return Manifest(
            name=self.recipe.name,
            classes=self.recipe.classes,
            golden=Golden("", "", 0, token_limit=limit),
            optimizer=self.recipe.optimizer.name,
            hyperparameters=self.recipe.hyperparameters(),
            **{name: Program(item.inputs, item.outputs, ()) for name, item in self.definitions.items()},
        )


@dataclass(frozen=True)
class GoldenStep:
    """Inputs of one golden step by name, and what eager PyTorch made of them."""

    given: dict[str, Array]
    expected: dict[str, Array]


@dataclass(frozen=True)
class Written:
    """The files of a layout, the forward pass's inputs in order, and the relative error of each golden output."""

    files: tuple[Path, ...]
    inputs: tuple[ProgramInput, ...]
    errors: dict[str, float]


def plan(model: nn.Module, recipe: Recipe) -> Plan:
    """Survey `model`. Raises UnsupportedOperation or InvalidInput for what an official layout can't hold."""
    if recipe.proximal or recipe.loss.hyperparameters:
        raise InvalidInput(
            "an official layout's loss has no settings of its own",
            remedy="leave --proximal out and take a loss without any, or use --format bundle",
        )
    survey = Survey.of(model, recipe)
    if survey.changed:
        raise UnsupportedOperation(
            f"training changes {survey.changed[0]}, and the official layouts give no access to running statistics",
            remedy="use GroupNorm, or --format bundle, where they are state like any other",
        )
    return Plan(model, recipe, survey, program.build(model, recipe, survey))


def loss_module(planned: Plan, *, training: bool = True) -> nn.Module:
    """A copy of the model whose forward gives (loss, correct_sum, probabilities); parameters keep their names.

    In training it takes `Plan.fed`; else only x..., y and weight (and class_prior): no dropout, no augmentation.
    """
    recipe, survey = planned.recipe, planned.survey
    own = copy.deepcopy(planned.model)
    survey.training_mode(own)
    if not training:
        own.eval()
    for name, parameter in own.named_parameters():
        parameter.requires_grad_(name in survey.trainable)
    names = [item.name for item in planned.fed if training or item.role != "random"]
    logits_of = own.forward

    def forward(*values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(names, values, strict=True))
        randoms = given if training else given | _neutral(recipe, given["sample_weight"])
        queue = [given[request.name] for request in survey.randoms] if training else []
        xs = {raw.name: recipe.pipeline(raw, given[raw.name], randoms) for raw in recipe.inputs}
        arguments, named = model_arguments(recipe.inputs, xs)
        with Rewriting(given["sample_weight"], lambda shape: queue.pop(0).reshape(shape)):
            logits = logits_of(*arguments, **named)
        prior = {"class_prior": given["class_prior"]} if recipe.loss.needs_prior else {}
        losses = recipe.loss.function(logits, given["y"], **prior)
        loss = (losses * given["sample_weight"]).sum() / torch.clamp(given["sample_weight"].sum(), min=1e-12)
        correct = ((logits.detach().argmax(1) == given["y"]).to(torch.float32) * given["sample_weight"]).sum()
        return loss, correct, torch.softmax(logits.detach(), 1)

    own.forward = forward  # type: ignore[method-assign]
    return own


def golden_steps(planned: Plan, settings: Mapping[str, float]) -> list[GoldenStep]:
    """The golden steps in eager PyTorch, with `settings` in place of some default hyperparameters."""
    manifest = planned.manifest()
    reference = Reference(planned.model, planned.recipe, planned.survey, manifest)
    fixed = {name: torch.tensor(value).numpy() for name, value in settings.items()}
    steps: list[GoldenStep] = []
    carried: dict[str, Array] = {}
    for number in range(manifest.golden.steps):
        given = golden.inputs(manifest, "train_step", number) | carried | fixed
        steps.append(GoldenStep(given, reference.train_step(given)))
        outputs = steps[-1].expected
        carried = {name.removeprefix("new."): value for name, value in outputs.items() if name.startswith("new.")}
    return steps


def judge(layout: str, steps: list[GoldenStep], actual: list[dict[str, Array]], tolerance: float) -> dict[str, float]:
    """Relative error by output name; each of `actual` has new.<parameter>, loss and correct_sum of one step.

    Raises VerificationFailed naming the first output beyond `tolerance`.
    """
    errors: dict[str, float] = {}
    for number, (step, found) in enumerate(zip(steps, actual, strict=True)):
        for name, value in found.items():
            if name == "loss":
                name, value = "loss_sum", value * step.given["sample_weight"].sum()
            before = step.given[name.removeprefix("new.")] if name.startswith("new.") else 0.0
            errors[f"train_step.{number}.{name}"] = golden.relative_error(step.expected[name], value, before)
    for name, error in errors.items():
        if not error <= tolerance:
            raise VerificationFailed(
                f"{layout}: {name} differs from eager PyTorch by {error:.2g} (allowed: {tolerance:.0e})",
                remedy="nothing was written; report the model, or use --format bundle",
            )
    return errors


def _neutral(recipe: Recipe, weight: Tensor) -> dict[str, Tensor]:
    """Augmentation inputs that change nothing, for a batch as long as `weight`."""
    zeros = weight * 0.0
    neutral = {}
    for name, shape in recipe.augmentation_randoms().items():
        ones = zeros.reshape([-1 if size == "B" else 1 for size in shape]) + NEUTRAL_UNIFORM
        neutral[name] = ones.expand([-1 if size == "B" else int(size) for size in shape])
    return neutral

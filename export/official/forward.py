"""What both official training layouts start from: a module that gives the loss.

Those layouts differentiate and optimize by themselves, so all they take is a forward pass whose first output is the
loss: here the weighted mean, so that padding with weight 0 counts nowhere. Neither gives an app its buffers back, so
running statistics (of BatchNorm) are inputs and outputs: an app feeds each step what the last one gave, at first what
statistics.safetensors holds.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fedrela.core import tensors
from fedrela.core.bundle import Golden, Manifest, Program, ProgramInput
from fedrela.core.errors import InvalidInput
from fedrela.core.tensors import Array
from fedrela.export import program
from fedrela.export.inputs import NEUTRAL_UNIFORM, model_arguments
from fedrela.export.layers import normalization
from fedrela.export.layers.rewriting import Rewriting
from fedrela.export.program import Definition
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import preparation
from fedrela.export.tracing.forward_pass import without_detours
from fedrela.export.tracing.model_analysis import ModelAnalysis, analyze

FED = ("x", "y", "weight", "random", "class_prior")  # roles that the forward pass takes, in the order of train_step
OUTPUTS = ("loss", "correct_sum", "probabilities")  # and then the new running statistics
STATISTICS = "statistics.safetensors"


@dataclass(frozen=True)
class Plan:
    """A model, analyzed for an official layout."""

    model: nn.Module
    recipe: Recipe
    analysis: ModelAnalysis
    definitions: Mapping[str, Definition]

    @property
    def step(self) -> Definition:
        """The bundle's training step, which the layout must equal."""
        return self.definitions["train_step"]

    @property
    def fed(self) -> tuple[ProgramInput, ...]:
        """Inputs of the forward pass, in order: running statistics come last."""
        statistics = [item for item in self.step.inputs if item.role == "buffer"]
        return (*(item for item in self.step.inputs if item.role in FED), *statistics)

    @property
    def fed_in_evaluation(self) -> tuple[ProgramInput, ...]:
        """Those of the forward pass in evaluation mode: neither dropout nor augmentation."""
        return tuple(item for item in self.fed if item.role != "random")

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the running statistics that training changes."""
        return tuple(item.name for item in self.fed if item.role == "buffer")

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the forward pass gives in training, in order."""
        return (*OUTPUTS, *(f"new.{name}" for name in self.statistics))

    def start(self) -> dict[str, Array]:
        """The model's trained parameters."""
        own = self.analysis.parameters(self.model)
        return {name: value.detach().to(torch.float32).numpy().copy() for name, value in own.items()}

    def write_statistics(self, folder: Path) -> tuple[Path, ...]:
        """The file of the model's running statistics, for the first step; none if it has none."""
        own = {name: value.detach().numpy().copy() for name, value in self.analysis.buffers(self.model).items()}
        if not own:
            return ()
        path = folder / STATISTICS
        path.write_bytes(tensors.to_bytes(own))
        return (path,)

    def manifest(self) -> Manifest:
        """What the golden steps need to know of the model; it names no file."""
        programs = {name: Program(item.inputs, item.outputs, ()) for name, item in self.definitions.items()}
        return Manifest(
            name=self.recipe.name,
            classes=self.recipe.classes,
            golden=Golden("", "", 0, token_limit=self.recipe.token_limit),
            optimizer=self.recipe.optimizer.name,
            hyperparameters=self.recipe.hyperparameter_defaults(),
            train_step=programs["train_step"],
            predict=programs["predict"],
            relabel=programs["relabel"],
        )


@dataclass(frozen=True)
class Written:
    """The files of a layout, the forward pass's inputs in order, and the relative error of each golden output."""

    files: tuple[Path, ...]
    inputs: tuple[ProgramInput, ...]
    errors: dict[str, float]


def plan(model: nn.Module, recipe: Recipe) -> Plan:
    """Analyze `model`. Raises UnsupportedOperation or InvalidInput for what can't be held or traced."""
    if recipe.proximal or recipe.loss.hyperparameters:
        raise InvalidInput(
            "an official layout's loss has no hyperparameters of its own",
            remedy="leave --proximal out and take a loss without any, or use --format bundle",
        )
    model = preparation.prepare(model, recipe)
    analysis = analyze(model, recipe)
    return Plan(model, recipe, analysis, program.build(model, recipe, analysis))


def loss_module(planned: Plan, *, training: bool = True) -> nn.Module:
    """A copy of the model whose forward gives `Plan.outputs`; parameters keep their names.

    In training it takes `Plan.fed`, else `Plan.fed_in_evaluation` and gives no statistics.
    """
    recipe, analysis = planned.recipe, planned.analysis
    own = copy.deepcopy(planned.model)
    _prepare(own, analysis, training)
    names = [item.name for item in (planned.fed if training else planned.fed_in_evaluation)]
    logits_of = own.forward

    def forward(*values: Tensor) -> tuple[Tensor, ...]:
        fed = dict(zip(names, values, strict=True))
        randoms = fed if training else fed | _neutral(recipe, fed["sample_weight"])
        queue = [request.as_asked(fed[request.name]) for request in analysis.randoms] if training else []
        xs = {raw.name: recipe.pipeline(raw, fed[raw.name], randoms) for raw in recipe.inputs}
        arguments, named = model_arguments(recipe.inputs, xs)
        statistics = {name: fed[name].clone() for name in planned.statistics}
        with (
            _holding(own, statistics),
            Rewriting(
                fed["sample_weight"], lambda shape: queue.pop(0).reshape(shape), normalization.plain, loops=False
            ),
            without_detours(),
        ):
            logits = logits_of(*arguments, **named)
        prior = {"class_prior": fed["class_prior"]} if recipe.loss.needs_prior else {}
        losses = recipe.loss.function(logits, fed["y"], **prior)
        loss = (losses * fed["sample_weight"]).sum() / torch.clamp(fed["sample_weight"].sum(), min=1e-12)
        correct = ((logits.detach().argmax(1) == fed["y"]).to(torch.float32) * fed["sample_weight"]).sum()
        outputs = (loss, correct, torch.softmax(logits.detach(), 1))
        return (*outputs, *(value.detach() for value in statistics.values())) if training else outputs

    own.forward = forward
    return own


def _prepare(model: nn.Module, analysis: ModelAnalysis, training: bool) -> None:
    """Put the copy in its mode; it counts no batches, for a counter would be one more thing that training changes."""
    analysis.training_mode(model)
    if not training:
        model.eval()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in analysis.trainable)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            module.num_batches_tracked = None


@contextmanager
def _holding(model: nn.Module, buffers: Mapping[str, Tensor]) -> Iterator[None]:
    """The model with `buffers` in place of its own."""
    places = {name: model.get_submodule(name.rpartition(".")[0])._buffers for name in buffers}
    before = {name: places[name][name.rpartition(".")[2]] for name in buffers}
    for name, value in buffers.items():
        places[name][name.rpartition(".")[2]] = value
    try:
        yield
    finally:
        for name, earlier in before.items():
            places[name][name.rpartition(".")[2]] = earlier


def _neutral(recipe: Recipe, weight: Tensor) -> dict[str, Tensor]:
    """Augmentation inputs that change nothing, for a batch as long as `weight`."""
    zeros = weight * 0.0
    neutral = {}
    for name, shape in recipe.augmentation_randoms().items():
        ones = zeros.reshape([-1 if size == "B" else 1 for size in shape]) + NEUTRAL_UNIFORM
        neutral[name] = ones.expand([-1 if size == "B" else int(size) for size in shape])
    return neutral

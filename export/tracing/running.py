"""Single forward passes of a copy of a model on random data, watched for what an export has to know.

>>> import torch
>>> from fedrela.export.inputs import parse
>>> from fedrela.export.recipe import Recipe
>>> model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
>>> training_pass(model, Recipe((parse("float32:3"),), classes=2), (), 5).changed
('1.running_mean', '1.running_var')
"""

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from fedrela.core.errors import FedRelaError, InvalidInput, UnsupportedOperation
from fedrela.export.inputs import model_arguments
from fedrela.export.layers.rewriting import Rewriting
from fedrela.export.losses import LOSSES
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.dataflow import Dataflow
from fedrela.export.tracing.examples import example, model_inputs
from fedrela.export.tracing.forward_pass import without_detours
from fedrela.export.tracing.modules import Observer
from fedrela.export.tracing.written import Watch

Uniforms = Callable[[tuple[int, ...]], Tensor]


@dataclass(frozen=True)
class TrainingPass:
    """Shapes of the uniforms asked for, float buffers that were written, and who calls which operator."""

    requested: tuple[tuple[int, ...], ...]
    changed: tuple[str, ...]
    operators: dict[str, str]


def training_pass(model: nn.Module, recipe: Recipe, held: tuple[str, ...], batch: int) -> TrainingPass:
    """One of a copy, in training mode but for the submodules `held`. Raises InvalidInput or UnsupportedOperation."""
    scratch = copy.deepcopy(model)
    set_mode(scratch, held)
    requested: list[tuple[int, ...]] = []
    generator = torch.Generator().manual_seed(batch)

    def uniforms(shape: tuple[int, ...]) -> Tensor:
        requested.append(tuple(shape))
        return _drawn(shape, generator)

    watch = Watch(scratch)
    numbers = {name: b for name, b in scratch.named_buffers() if not b.is_floating_point()}
    with Dataflow(numbers) as flow, Observer(scratch) as observer:
        logits = _observed(scratch, recipe, observer, batch, generator, torch.ones(batch), uniforms)
    _check_logits(logits, batch, recipe)
    _check_losses(logits, batch, recipe)
    written = watch.written(flow)
    _refuse_changed_parameters(scratch, written)
    after = dict(scratch.named_buffers())
    changed = tuple(name for name in after if name in written)
    floats = tuple(name for name in changed if after[name].is_floating_point())
    read = flow.read_by_python.union(flow.sources(logits), *(flow.sources(after[name]) for name in floats))
    _refuse_counters([name for name in changed if name in read])
    return TrainingPass(tuple(requested), floats, observer.operators)


def evaluation_pass(model: nn.Module, recipe: Recipe, batch: int) -> None:
    """One of a copy, in evaluation mode. Raises InvalidInput or UnsupportedOperation."""
    scratch = copy.deepcopy(model).eval()
    with Observer(scratch) as observer:

        def refuse(shape: tuple[int, ...]) -> NoReturn:
            raise UnsupportedOperation(
                f"{observer.path} draws random numbers in evaluation mode",
                remedy="draw them in training mode alone (if self.training), as nn.Dropout does",
            )

        logits = _observed(scratch, recipe, observer, batch, torch.Generator().manual_seed(batch), None, refuse)
    _check_logits(logits, batch, recipe)


def plain_pass(scratch: nn.Module, recipe: Recipe, held: tuple[str, ...] | None, batch: int, seed: int) -> Tensor:
    """One of `scratch` itself on data of a seed, in training mode but for `held`; None: in evaluation mode."""
    if held is None:
        scratch.eval()
    else:
        set_mode(scratch, held)
    generator = torch.Generator().manual_seed(seed)
    arguments, named = model_arguments(recipe.inputs, model_inputs(recipe, example(recipe, batch, generator)))
    with torch.no_grad(), without_detours(), Rewriting(torch.ones(batch), lambda shape: _drawn(shape, generator)):
        logits: Tensor = scratch(*arguments, **named)
    return logits


def set_mode(model: nn.Module, held: tuple[str, ...]) -> None:
    """Training mode, but for the submodules `held`."""
    model.train()
    for name in held:
        model.get_submodule(name).eval()


def _drawn(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    with _disable_current_modes():
        return torch.rand(shape, generator=generator)


def _observed(
    scratch: nn.Module,
    recipe: Recipe,
    observer: Observer,
    batch: int,
    generator: torch.Generator,
    weight: Tensor | None,
    uniforms: Uniforms,
) -> Tensor:
    """What `scratch` gives for random data; what it can't do is said with the submodule that was running."""
    with _disable_current_modes():
        xs = model_inputs(recipe, example(recipe, batch, generator))
    arguments, named = model_arguments(recipe.inputs, xs)
    with torch.no_grad(), without_detours(), Rewriting(weight, uniforms):
        try:
            logits: Tensor = scratch(*arguments, **named)
        except UnsupportedOperation as error:
            named_already = observer.path in error.problem
            problem = error.problem if named_already else f"{observer.path}: {error.problem}"
            raise UnsupportedOperation(problem, remedy=error.remedy) from error
        except FedRelaError:
            raise
        except Exception as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise InvalidInput(
                f"the model can't take a batch of {batch} inputs ({observer.path}: {first})",
                remedy="check --input against what the model's forward takes, and that it takes any number of examples",
            ) from error
    return logits


def _check_logits(logits: object, batch: int, recipe: Recipe) -> None:
    """(B, C) is asked for; a loss of one's own may take more columns, of which the first C are the logits."""
    shape_or_type = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    fits = shape_or_type == (batch, recipe.classes)
    if isinstance(shape_or_type, tuple) and recipe.loss.name not in LOSSES:
        fits = len(shape_or_type) == 2 and shape_or_type[0] == batch and shape_or_type[1] >= recipe.classes
    if not fits:
        raise InvalidInput(
            f"the model gives {shape_or_type} for a batch of {batch}",
            remedy=f"return logits of shape (batch, {recipe.classes}), or correct the number of classes: --classes, "
            "--class-names or the folders of --data",
        )


def _refuse_changed_parameters(model: nn.Module, written: Collection[str]) -> None:
    for name, _ in model.named_parameters():
        if name in written:
            raise UnsupportedOperation(
                f"the forward pass itself changes the parameter {name!r} (an Embedding with max_norm does)",
                remedy="leave parameters to the optimizer",
            )


def _check_losses(logits: Tensor, batch: int, recipe: Recipe) -> None:
    """A loss of one's own that fails is left to the tracing, which says why."""
    own = recipe.loss
    if own in LOSSES.values():
        return
    numbers = {name: torch.tensor(value) for name, value in own.hyperparameters.items()}
    if own.needs_prior:
        numbers["class_prior"] = torch.full((recipe.classes,), 1 / recipe.classes)
    try:
        losses = own.function(logits.detach(), torch.arange(batch) % recipe.classes, **numbers)
    except Exception:
        return
    shape_or_type = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
    if shape_or_type != (batch,):
        raise InvalidInput(
            f"the loss {own.name!r} gives {shape_or_type} for a batch of {batch}",
            remedy='give one number for each example, of shape (batch,): torch\'s losses do so with reduction="none"',
        )


def _refuse_counters(names: list[str]) -> None:
    if names:
        raise UnsupportedOperation(
            f"the forward pass changes the buffer {names[0]!r}, which holds no float32 numbers, and computes with it",
            remedy="make it a float32 buffer, which goes from step to step, or leave it out",
        )

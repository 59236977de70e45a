"""What a model does in training mode, found by running it twice: random numbers it asks for, buffers it changes, its
output.

    >>> import torch
    >>> from fedrela.export.inputs import parse
    >>> from fedrela.export.recipe import Recipe
    >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.1), torch.nn.Linear(4, 2))
    >>> analyze(model, Recipe((parse("float32:3"),), classes=2)).random_shapes()
    {'dropout.0': ('B', 4)}
"""

import copy
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from fedrela.core.errors import InvalidInput, UnsupportedOperation
from fedrela.export.inputs import model_arguments
from fedrela.export.layers.rewriting import Rewriting
from fedrela.export.losses import LOSSES
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.modules import Observer

_SMALL, _LARGE = 5, 7  # two batch sizes tell a batch dimension from any other


@dataclass(frozen=True)
class RandomRequest:
    """One draw of uniforms inside the model; `shape` has "B" for the batch, split off where the model merged it."""

    name: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class ModelAnalysis:
    """What a model does when it is trained. `trainable` and `changed` are names of parameters and buffers."""

    trainable: tuple[str, ...]
    changed: tuple[str, ...]
    held: tuple[str, ...]  # normalization layers that training leaves in evaluation mode
    randoms: tuple[RandomRequest, ...]
    operators: dict[str, str] = field(default_factory=dict)  # ATen operator -> the first submodule that calls it

    def training_mode(self, model: nn.Module) -> None:
        """Put `model` in training mode, but for frozen normalization layers."""
        _training_mode(model, self.held)

    def parameters(self, model: nn.Module) -> dict[str, Tensor]:
        """The trained parameters of `model`, in its order."""
        return {name: p for name, p in model.named_parameters() if name in self.trainable}

    def buffers(self, model: nn.Module) -> dict[str, Tensor]:
        """The buffers that training changes, in the model's order."""
        return {name: b for name, b in model.named_buffers() if name in self.changed}

    def lowest_values(self, model: nn.Module) -> dict[str, float]:
        """The lowest value that a buffer may have, of those where one is known: 0 of a running variance."""
        variances = {
            f"{name}.running_var" if name else "running_var"
            for name, module in model.named_modules()
            if isinstance(module, nn.modules.batchnorm._NormBase)
        }
        return {name: 0.0 for name in self.buffers(model) if name in variances}

    def random_shapes(self) -> dict[str, tuple[int | str, ...]]:
        """Names and shapes of the uniforms for dropout."""
        return {request.name: request.shape for request in self.randoms}


def analyze(model: nn.Module, recipe: Recipe) -> ModelAnalysis:
    """Run a copy of `model` in training mode. Raises InvalidInput or UnsupportedOperation."""
    trainable = recipe.trainable_names(model)
    held = tuple(
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase) and not recipe.trains(f"{name}.weight")
    )
    small, changed, operators = _run(model, recipe, held, _SMALL)
    large, _, _ = _run(model, recipe, held, _LARGE)
    randoms = tuple(
        RandomRequest(f"dropout.{index}", _open(one, other))
        for index, (one, other) in enumerate(zip(small, large, strict=True))
    )
    return ModelAnalysis(trainable, changed, held, randoms, operators)


def example(recipe: Recipe, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Random raw inputs of the right shapes and ranges."""
    tensors = {}
    for raw in recipe.inputs:
        shape = (batch, *raw.shape)
        if raw.dtype == "float32":
            tensors[raw.name] = torch.rand(shape, generator=generator) * 2 - 1
        else:
            limit = raw.token_limit or 256
            tensors[raw.name] = torch.randint(limit, shape, generator=generator).to(getattr(torch, raw.dtype))
    return tensors


def _training_mode(model: nn.Module, held: tuple[str, ...]) -> None:
    model.train()
    for name in held:
        model.get_submodule(name).eval()


def _run(
    model: nn.Module, recipe: Recipe, held: tuple[str, ...], batch: int
) -> tuple[list[tuple[int, ...]], tuple[str, ...], dict[str, str]]:
    """Shapes of the uniforms asked for, names of the float buffers that changed, and who calls which operator."""
    generator = torch.Generator().manual_seed(batch)
    raw_inputs = example(recipe, batch, generator)
    half = {
        name: torch.full([batch if size == "B" else int(size) for size in shape], 0.5)
        for name, shape in recipe.augmentation_randoms().items()
    }
    xs = {raw.name: recipe.pipeline(raw, raw_inputs[raw.name], half) for raw in recipe.inputs}
    requested: list[tuple[int, ...]] = []

    def uniforms(shape: tuple[int, ...]) -> Tensor:
        requested.append(tuple(shape))
        with _disable_current_modes():
            return torch.rand(shape, generator=generator)

    scratch = copy.deepcopy(model)
    _training_mode(scratch, held)
    before = {name: b.clone() for name, b in scratch.named_buffers()}
    arguments, named = model_arguments(recipe.inputs, xs)
    with torch.no_grad(), Observer(scratch) as observer, Rewriting(torch.ones(batch), uniforms):
        try:
            logits = scratch(*arguments, **named)
        except UnsupportedOperation as error:
            named_already = observer.path in error.problem
            problem = error.problem if named_already else f"{observer.path}: {error.problem}"
            raise UnsupportedOperation(problem, remedy=error.remedy) from error
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            raise InvalidInput(
                f"the model can't take a batch of {batch} inputs ({observer.path}: {str(error).splitlines()[0]})",
                remedy="check --input against what the model's forward takes",
            ) from error
    _check_logits(logits, batch, recipe)
    changed = tuple(
        name for name, b in scratch.named_buffers() if b.is_floating_point() and not torch.equal(b, before[name])
    )
    return requested, changed, observer.operators


def _check_logits(logits: object, batch: int, recipe: Recipe) -> None:
    """(B, C) is asked for; a loss of one's own may take more columns, of which the first C are the logits."""
    shape_or_type = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    fits = shape_or_type == (batch, recipe.classes)
    if isinstance(shape_or_type, tuple) and recipe.loss.name not in LOSSES:
        fits = len(shape_or_type) == 2 and shape_or_type[0] == batch and shape_or_type[1] >= recipe.classes
    if not fits:
        raise InvalidInput(
            f"the model gives {shape_or_type} for a batch of {batch}",
            remedy=f"return logits of shape (batch, {recipe.classes}), or correct --classes",
        )


def _open(small: tuple[int, ...], large: tuple[int, ...]) -> tuple[int | str, ...]:
    """The shape with its batch dimension named: sizes that grew from 5 k to 7 k are ("B", k)."""
    shape: list[int | str] = []
    for one, other in zip(small, large, strict=True):
        if one == other:
            shape.append(one)
        else:
            factor = one // _SMALL
            shape += ["B"] if factor == 1 else ["B", factor]
    return tuple(shape)

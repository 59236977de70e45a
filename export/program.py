"""The three programs of a bundle as pure functions with named inputs: what is traced, lowered and verified.

>>> import torch
>>> from fedrela.export.inputs import parse
>>> from fedrela.export.recipe import Recipe
>>> definitions = build(torch.nn.Linear(3, 2), Recipe(inputs=(parse("float32:3"),), classes=2))
>>> [item.name for item in definitions["train_step"].inputs][:4]
['weight', 'bias', 'momentum.weight', 'momentum.bias']
"""

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fedrela.core.bundle import ProgramInput, Role
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol.programs import TOTALS
from fedrela.export.inputs import model_arguments
from fedrela.export.layers.rewriting import Rewriting
from fedrela.export.recipe import Recipe
from fedrela.export.relabel import relabel
from fedrela.export.tracing.aliases import follow
from fedrela.export.tracing.forward_pass import forward_pass
from fedrela.export.tracing.model_analysis import ModelAnalysis, RandomRequest, analyze

Function = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Definition:
    """A program before it is lowered: `function(*inputs)` gives one tensor for each of `outputs`."""

    name: str
    inputs: tuple[ProgramInput, ...]
    outputs: tuple[str, ...]
    function: Function


def build(model: nn.Module, recipe: Recipe, analysis: ModelAnalysis | None = None) -> dict[str, Definition]:
    """Definitions of train_step, predict and relabel for `model`."""
    analyzed = analysis or analyze(model, recipe)
    model = copy.deepcopy(model)  # modes and hooks never touch the user's own
    return {
        "train_step": _train_step(model, recipe, analyzed),
        "predict": _predict(model, recipe, analyzed),
        "relabel": _relabel(recipe.classes),
    }


def _train_step(model: nn.Module, recipe: Recipe, analysis: ModelAnalysis) -> Definition:
    shapes = {name: tuple(p.shape) for name, p in analysis.parameters(model).items()}
    buffers = {name: tuple(b.shape) for name, b in analysis.buffers(model).items()}
    state = recipe.optimizer.state(shapes)
    carried = [*_inputs("parameter", shapes), *_inputs("buffer", buffers), *_inputs("optimizer", state)]
    anchors = {f"anchor.{name}": shape for name, shape in shapes.items()} if recipe.proximal else {}
    inputs = (
        *carried,
        *_inputs("anchor", anchors),
        *(ProgramInput(raw.name, "x", ("B", *raw.shape), raw.dtype) for raw in recipe.inputs),
        ProgramInput("y", "y", ("B",), "int64"),
        ProgramInput("sample_weight", "weight", ("B",)),
        *_inputs("hyperparameter", dict.fromkeys(recipe.hyperparameter_defaults(), ())),
        *_inputs("random", recipe.augmentation_randoms() | analysis.random_shapes()),
        *([ProgramInput("class_prior", "class_prior", (recipe.classes,))] if recipe.loss.needs_prior else []),
    )
    names = [item.name for item in inputs]
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise InvalidInput(
            f"the model has a parameter or buffer named {twice[0]!r}, as an input of the program is",
            remedy="rename it, or put the model into an nn.Sequential, which prefixes every name",
        )

    def function(*values: Tensor) -> tuple[Tensor, ...]:
        tensors = dict(zip(names, values, strict=True))
        params = {name: tensors[name].detach().requires_grad_() for name in shapes}
        fresh = {name: tensors[name].detach().clone() for name in buffers}
        y, weight = tensors["y"], tensors["sample_weight"]
        randoms = _Supply(analysis.randoms, tensors)
        analysis.training_mode(model)
        own = params | fresh
        with Rewriting(weight, randoms):
            logits = _call(model, own, recipe, tensors)
        fresh = {name: own[name] for name in buffers}  # a buffer may have been assigned
        loss_arguments = {name: tensors[name] for name in recipe.loss.hyperparameters}
        if recipe.loss.needs_prior:
            loss_arguments["class_prior"] = tensors["class_prior"]
        losses = recipe.loss.function(logits, y, **loss_arguments)
        loss_sum, weight_sum = (losses * weight).sum(), weight.sum()
        objective = loss_sum / torch.clamp(weight_sum, min=1e-12)
        grads = _gradients(objective, params)
        frozen = {name: value.detach() for name, value in params.items()}
        if recipe.proximal:
            pulls = {name: tensors["proximal"] * (frozen[name] - tensors[f"anchor.{name}"]) for name in shapes}
            grads = {name: grads[name] + pull if name in grads else pull for name, pull in pulls.items()}
        moved = {name: frozen[name] for name in grads}
        before = {name: tensors[name] for name in state}
        new_params, new_state = recipe.optimizer.update(moved, grads, before, tensors)
        new_params, new_state = _kept(frozen, new_params), _kept(before, new_state)
        correct = ((logits.detach()[:, : recipe.classes].argmax(1) == y).to(torch.float32) * weight).sum()
        return (
            *(new_params[name] for name in shapes),
            *(fresh[name].detach() for name in buffers),
            *(new_state[name] for name in state),
            loss_sum.detach(),
            correct,
            weight_sum,
        )

    outputs = (*(f"new.{item.name}" for item in carried), *TOTALS)
    return Definition("train_step", inputs, outputs, function)


def _predict(model: nn.Module, recipe: Recipe, analysis: ModelAnalysis) -> Definition:
    shapes = {name: tuple(p.shape) for name, p in analysis.parameters(model).items()}
    buffers = {name: tuple(b.shape) for name, b in analysis.buffers(model).items()}
    inputs = (
        *_inputs("parameter", shapes),
        *_inputs("buffer", buffers),
        *(ProgramInput(raw.name, "x", ("B", *raw.shape), raw.dtype) for raw in recipe.inputs),
        *_inputs("random", recipe.augmentation_randoms()),
    )
    names = [item.name for item in inputs]

    def function(*values: Tensor) -> tuple[Tensor, ...]:
        tensors = dict(zip(names, values, strict=True))
        model.eval()
        with torch.no_grad(), Rewriting(None, _refuse):
            logits = _call(model, {name: tensors[name] for name in (*shapes, *buffers)}, recipe, tensors)
        return (torch.softmax(logits, dim=1),)

    return Definition("predict", inputs, ("probabilities",), function)


def _relabel(classes: int) -> Definition:
    inputs = (
        ProgramInput("probabilities", "probabilities", ("N", classes)),
        ProgramInput("labels", "labels", ("N",), "int64"),
        ProgramInput("uniforms", "uniforms", ("N", classes)),
        ProgramInput("threshold_percent", "threshold_percent", ()),
    )
    return Definition("relabel", inputs, ("new_labels", "flip_rate"), relabel)


def _call(model: nn.Module, state: dict[str, Tensor], recipe: Recipe, tensors: Mapping[str, Tensor]) -> Tensor:
    """Logits (B, C) of the model with `state` in place of its own tensors; `state` then holds what it made of them."""
    xs = {raw.name: recipe.pipeline(raw, tensors[raw.name], dict(tensors)) for raw in recipe.inputs}
    with forward_pass(model):
        follow(model, state)
        logits: Tensor = torch.func.functional_call(model, state, *model_arguments(recipe.inputs, xs))
    return logits


def _inputs(role: Role, shapes: Mapping[str, tuple[int | str, ...]]) -> list[ProgramInput]:
    return [ProgramInput(name, role, shape) for name, shape in shapes.items()]


def _gradients(objective: Tensor, params: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of the parameters that `objective` depends on; like torch.optim, an optimizer leaves the others as they are."""
    grads = torch.autograd.grad(objective, list(params.values()), allow_unused=True)
    return {name: grad for name, grad in zip(params, grads, strict=True) if grad is not None}


def _kept(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`after`, and a copy of what it lacks: an output is never an input's own memory."""
    return {name: after[name] if name in after else value.clone() for name, value in before.items()}


def _refuse(shape: tuple[int, ...]) -> Tensor:
    raise AssertionError("evaluation asks for no random numbers")


class _Supply:
    """Gives the random inputs out in the order in which the model asks."""

    def __init__(self, requests: tuple[RandomRequest, ...], tensors: Mapping[str, Tensor]) -> None:
        self._queue = [request.as_asked(tensors[request.name]) for request in requests]

    def __call__(self, shape: tuple[int, ...]) -> Tensor:
        values = self._queue.pop(0)
        return values if len(values.shape) == len(shape) else values.reshape(shape)

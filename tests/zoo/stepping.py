"""Twenty steps of an exported program beside the same module, trained by torch's own optimizer, on fresh data.

The module is one that lasts: what a forward pass leaves behind in it is there in the next one. Only the random numbers
of dropout and the like are given to both. Where float32 itself doesn't decide what a tensor becomes (a bias before a
BatchNorm, units that lie at a kink), training from weights that are a rounding apart tells how far it may be off. Of a
net that diverges, that is as far as training takes it: twenty steps say nothing of such a tensor, one step does.
"""

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fedrela.core import bundle, golden
from fedrela.core.bundle import Program, ProgramInput
from fedrela.core.tensors import Array, Params
from fedrela.export.inputs import model_arguments
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.examples import model_inputs
from fedrela.export.tracing.forward_pass import without_detours
from fedrela.export.tracing.model_analysis import RandomRequest
from fedrela.export.verification import replay
from fedrela.export.verification.equality import TOLERANCE
from fedrela.export.verification.supplied import Supplied

STEPS, BATCH = 20, 6
RATES = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0}
ROUNDING = 1e-6  # relative: what float32's roundings (6e-8) come to in the sums of one step
TIMES = 10.0  # as far as roundings take eager PyTorch a runtime with other roundings may be off
NOTHING = 0.5  # of its change: where roundings take a tensor so far, it could be anything
LOSSES = "losses"  # the name of the twenty losses, compared as a tensor is


@dataclass(frozen=True)
class Followed:
    """How closely a program followed. Both are relative: of weights and statistics, to their change in all steps."""

    largest_error: float  # of what float32 decides, beyond which nothing is allowed but TOLERANCE
    worst: str  # the tensor that it belongs to
    undecided: int  # tensors of which rounding decides more than TOLERANCE
    tensors: int


def follow(
    folder: Path,
    model: nn.Module,
    recipe: Recipe,
    runtime: str,
    requests: tuple[RandomRequest, ...],
    seed: int = 1,
) -> Followed:
    """Run the bundle's training program and `model` side by side.

    model: as `fedrela.export.tracing.preparation.prepare` gives it, with the weights that the bundle starts from.
    requests: the draws of the model that was exported.
    """
    opened = bundle.read(folder)
    step = opened.manifest.train_step
    feeds = [_drawn(opened.manifest.classes, recipe, step, seed, number) for number in range(STEPS)]
    run = replay.load(opened, runtime, ("train_step",))["train_step"]

    def after(steps: int) -> dict[str, tuple[float, float]]:
        given = _by_program(run, step, opened.weights, feeds[:steps])
        names = tuple(name for name in given if name != LOSSES)
        start: Params = dict(opened.weights) | {LOSSES: np.zeros(steps, np.float32)}
        expected, *moved = (
            _eagerly(model, recipe, step, feeds[:steps], names, requests, direction) for direction in (None, 0, 1)
        )
        return {
            name: _error(want, given[name], [other[name] for other in moved], start[name])
            for name, want in expected.items()
        }

    early, late = after(1), after(STEPS)
    errors = {name: max(early[name][0], error if spread < NOTHING else 0.0) for name, (error, spread) in late.items()}
    worst = max(errors, key=lambda name: errors[name])
    undecided = sum(TIMES * spread > TOLERANCE for _, spread in late.values())
    return Followed(errors[worst], worst, undecided, len(errors))


def _error(want: Array, given: Array, moved: list[Array], start: Array) -> tuple[float, float]:
    """How far a tensor is off, of what is allowed, and how far roundings take it: both relative to its change."""
    scale = golden.change_scale(want, start)
    spread = max(golden.difference(want, other) for other in moved)
    allowed = max(scale, TIMES * spread / TOLERANCE)
    return golden.relative(golden.difference(want, given), allowed), golden.relative(spread, scale)


def _drawn(classes: int, recipe: Recipe, step: Program, seed: int, number: int) -> dict[str, Array]:
    """Fresh data and random numbers of one step; all examples count."""
    generator = np.random.default_rng((seed, number))
    values = {
        "x": lambda shape, item: _data(recipe, generator, shape, item),
        "y": lambda shape, item: generator.integers(0, classes, shape),
        "weight": lambda shape, item: np.ones(shape),
        "random": lambda shape, item: generator.random(shape, dtype=np.float32),
        "hyperparameter": lambda shape, item: RATES[item.name],
    }
    fed: dict[str, Array] = {}
    for item in step.inputs:
        if item.role in values:
            shape = tuple(BATCH if size == "B" else int(size) for size in item.shape)
            fed[item.name] = np.asarray(values[item.role](shape, item)).astype(item.dtype)
    return fed


def _data(recipe: Recipe, generator: np.random.Generator, shape: tuple[int, ...], item: ProgramInput) -> Array:
    if item.dtype == "float32":
        return generator.standard_normal(shape, dtype=np.float32)
    limits = {raw.name: raw.token_limit for raw in recipe.inputs}
    return generator.integers(0, limits[item.name] or 256, shape)


def _by_program(run: replay.Run, step: Program, weights: Params, feeds: list[dict[str, Array]]) -> Params:
    """Weights, statistics and losses after all steps."""
    carried: dict[str, Array] = {}
    for item in step.role("parameter", "buffer", "optimizer"):
        shape = tuple(map(int, item.shape))
        carried[item.name] = weights[item.name] if item.name in weights else np.zeros(shape, item.dtype)
    losses = []
    for fed in feeds:
        outputs = run(fed | carried)
        carried = {name: outputs[f"new.{name}"] for name in carried}
        losses.append(float(outputs["loss_sum"]) / BATCH)
    trained = {item.name: carried[item.name] for item in step.role("parameter", "buffer")}
    return trained | {LOSSES: np.asarray(losses, np.float32)}


def _eagerly(
    model: nn.Module,
    recipe: Recipe,
    step: Program,
    feeds: list[dict[str, Array]],
    names: tuple[str, ...],
    requests: tuple[RandomRequest, ...],
    direction: int | None,
) -> Params:
    """The same by torch; from weights that are moved by roundings in a `direction`, and moved back at the end."""
    lasting = copy.deepcopy(model).train()
    moves = {name: torch.zeros(()) for name in names} | _moves(lasting, names, direction)
    tensors = _tensors(lasting)
    with torch.no_grad():
        for name, move in moves.items():
            tensors[name].add_(move)
    optimizer = torch.optim.SGD(
        [tensors[item.name] for item in step.role("parameter")], RATES["lr"], RATES["momentum"], foreach=False
    )
    losses = []
    for fed in feeds:
        optimizer.zero_grad()
        loss = F.cross_entropy(_logits(lasting, recipe, requests, fed), torch.from_numpy(fed["y"]).long())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    trained = {name: (_tensors(lasting)[name] - moves[name]).detach().numpy().copy() for name in names}
    return trained | {LOSSES: np.asarray(losses, np.float32)}


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _moves(model: nn.Module, names: tuple[str, ...], direction: int | None) -> dict[str, Tensor]:
    if direction is None:
        return {}
    generator = torch.Generator().manual_seed(direction)
    tensors = {name: tensor.detach() for name, tensor in _tensors(model).items() if name in names}
    return {name: ROUNDING * t * torch.randn(t.shape, generator=generator) for name, t in tensors.items()}


def _logits(model: nn.Module, recipe: Recipe, requests: tuple[RandomRequest, ...], fed: dict[str, Array]) -> Tensor:
    given = model_inputs(recipe, {raw.name: torch.from_numpy(fed[raw.name]) for raw in recipe.inputs})
    arguments, named = model_arguments(recipe.inputs, given)
    draws = iter([request.as_asked(torch.from_numpy(fed[request.name])) for request in requests])
    with without_detours(), Supplied(lambda shape: next(draws).reshape(shape), torch.float32):
        logits: Tensor = model(*arguments, **named)
    return logits[:, : recipe.classes]

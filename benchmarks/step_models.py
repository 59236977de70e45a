"""The networks whose steps are timed, and their programs, lowered once and kept. May import export, core, torch."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import nn

from core.bundle import PROGRAMS, Golden, Manifest, Program
from core.tensors import Params
from export import lowering, models, program
from export.inputs import parse
from export.recipe import Recipe
from export.survey import Survey


@dataclass(frozen=True)
class Net:
    """A model as `fedrela export` would take it."""

    build: Callable[[], nn.Module]
    input: str
    convolutional: bool = True
    classes: int = 10


NETS = {
    "small CNN": Net(partial(models.small_cnn, channels=1, size=28), "float32:1x28x28"),
    "plain CNN": Net(partial(models.small_cnn, channels=3, size=32, widths=(32, 64, 64)), "float32:3x32x32"),
    "ResNet-8": Net(models.resnet8, "float32:3x32x32"),
    "ResNet-18": Net(models.resnet18, "float32:3x32x32"),
    "MobileNetV2": Net(models.mobilenet, "float32:3x32x32"),
    "MLP": Net(partial(models.tabular_mlp, columns=64, classes=10, hidden=256), "float32:64", convolutional=False),
}


@dataclass(frozen=True)
class Lowered:
    """The programs of one net for the runtimes asked for, and the weights they start from."""

    manifest: Manifest
    weights: Params
    programs: dict[str, dict[str, bytes]]  # runtime -> program name -> file

    def model(self, net: Net) -> nn.Module:
        """The eager model with the same weights."""
        model = net.build()
        model.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights.items()}, strict=False)
        return model


def lowered(name: str, runtimes: tuple[str, ...], kept: Path) -> Lowered:
    """The programs of net `name`; lowering takes minutes for the large ones, so files are kept in the folder `kept`."""
    path = kept / f"{name.replace(' ', '_')}-{'-'.join(runtimes)}.pickle"
    if path.exists():
        return pickle.loads(path.read_bytes())  # our own file of an earlier run
    net = NETS[name]
    torch.manual_seed(0)
    result = lower(name, net.build(), net.input, net.classes, runtimes)
    kept.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(result))
    return result


def lower(
    name: str,
    model: nn.Module,
    described: str,
    classes: int,
    runtimes: tuple[str, ...],
    roles: tuple[str, ...] = PROGRAMS,
) -> Lowered:
    """The programs `roles` of `model`, as `fedrela export` makes them, not yet verified."""
    recipe = Recipe(inputs=(parse(described),), classes=classes, name=name)
    survey = Survey.of(model, recipe)
    definitions = program.build(model, recipe, survey)
    programs: dict[str, dict[str, bytes]] = {runtime: {} for runtime in runtimes}
    files = {}
    for role, definition in definitions.items():
        entries = []
        for runtime in runtimes if role in roles else ():
            body, file = lowering.lower(definition, runtime, 64, survey.operators)
            programs[runtime][role] = body
            entries.append(file)
        files[role] = tuple(entries)
    manifest = Manifest(
        name=name,
        classes=classes,
        golden=Golden("", "", 0),
        hyperparameters=recipe.hyperparameters(),
        **{role: Program(d.inputs, d.outputs, files[role]) for role, d in definitions.items()},
    )
    tensors = survey.parameters(model) | survey.buffers(model)
    return Lowered(manifest, {key: value.detach().numpy().copy() for key, value in tensors.items()}, programs)

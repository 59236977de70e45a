"""The networks whose steps are timed, and their programs. May import export, core, torch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from fedrela.core.bundle import PROGRAMS, Golden, Manifest, Program
from fedrela.core.tensors import Params
from fedrela.export import lowering, models, program
from fedrela.export.inputs import parse
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.model_analysis import analyze


@dataclass(frozen=True)
class Net:
    """A model as `fedrela export` would take it."""

    build: Callable[[], nn.Module]
    input: str
    convolutional: bool = True
    classes: int = 10


class Recurrent(nn.Module):
    """A recurrent layer over x (B, T, 16), and a linear one on its last output."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        layers = {"GRU": nn.GRU, "LSTM": nn.LSTM, "BiLSTM": nn.LSTM, "Elman": nn.RNN}
        both = kind == "BiLSTM"
        self.layer = layers[kind](16, 64, batch_first=True, bidirectional=both)
        self.head = nn.Linear(128 if both else 64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (B, 10)."""
        logits: torch.Tensor = self.head(self.layer(x)[0][:, -1])
        return logits


RECURRENT = {
    f"{kind}, {steps} steps": Net(partial(Recurrent, kind), f"float32:{steps}x16", convolutional=False)
    for kind in ("GRU", "LSTM", "BiLSTM", "Elman")
    for steps in (8, 32, 128)
}
NETS = RECURRENT | {
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


def build(name: str) -> nn.Module:
    """Net `name` with the weights that every contender starts from."""
    torch.manual_seed(0)
    return NETS[name].build()


def recipe_of(name: str) -> Recipe:
    """What `fedrela export` would be told of net `name`."""
    net = NETS[name]
    return Recipe(inputs=(parse(net.input),), classes=net.classes, name=name)


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
    analysis = analyze(model, recipe)
    definitions = program.build(model, recipe, analysis)
    programs: dict[str, dict[str, bytes]] = {runtime: {} for runtime in runtimes}
    files = {}
    for role, definition in definitions.items():
        entries = []
        for runtime in runtimes if role in roles else ():
            body, file = lowering.lower(definition, runtime, 64, analysis.operators)
            programs[runtime][role] = body
            entries.append(file)
        files[role] = tuple(entries)
    manifest = Manifest(
        name=name,
        classes=classes,
        golden=Golden("", "", 0),
        hyperparameters=recipe.hyperparameter_defaults(),
        **{role: Program(d.inputs, d.outputs, files[role]) for role, d in definitions.items()},
    )
    tensors = analysis.parameters(model) | analysis.buffers(model)
    return Lowered(manifest, {key: value.detach().numpy().copy() for key, value in tensors.items()}, programs)

"""One training program against eager PyTorch in this process: the quick form of
`fedrela.export.verification.equality`.
"""

import tempfile
from pathlib import Path

import torch
from torch import nn

from fedrela.core.bundle import Bundle, Golden, Manifest, Program, Seal
from fedrela.core.tensors import Params
from fedrela.export import lowering, program
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import preparation
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.refusals import refusals
from fedrela.export.verification import equality, repetition, replay
from fedrela.export.verification.reference import Reference


@refusals("the model")
def training_errors(
    model: nn.Module, recipe: Recipe, runtime: str, *, programs: tuple[str, ...] = ("train_step",), seed: int = 0
) -> dict[str, float]:
    """Relative error of every output of three consecutive steps (and of predict, if asked), by name.

    Raises what an export raises.
    """
    model = preparation.prepare(model, recipe)
    analysis = analyze(model, recipe)
    definitions = program.build(model, recipe, analysis)
    lowered = {name: lowering.lower(definitions[name], runtime, 16, analysis.operators) for name in programs}
    entries = {
        name: Program(d.inputs, d.outputs, (lowered[name][1],) if name in lowered else ())
        for name, d in definitions.items()
    }
    manifest = Manifest(
        name="comparison",
        classes=recipe.classes,
        golden=Golden("", "", 0, token_limit=recipe.token_limit),
        hyperparameters=recipe.hyperparameter_defaults(),
        train_step=entries["train_step"],
        predict=entries["predict"],
        relabel=entries["relabel"],
    )
    weights: Params = {
        name: tensor.detach().numpy().copy()
        for name, tensor in (analysis.parameters(model) | analysis.buffers(model)).items()
    }
    reference = Reference(model, recipe, analysis, manifest)
    exact = Reference(model, recipe, analysis, manifest, torch.float64)
    steps = equality.fresh_steps(reference, exact, manifest, weights, seed)
    asked = (*programs, replay.START)
    steps = {name: value for name, value in steps.items() if name.split("/")[0].split(".")[0] in asked}
    with tempfile.TemporaryDirectory() as folder:
        for body, file in lowered.values():
            (Path(folder) / file.path).write_bytes(body)
        opened = Bundle(Path(folder), manifest, weights, Seal("", "", "", ""))
        errors = replay.step_errors(replay.load(opened, runtime, programs), steps)
    repetition.check(model, recipe, analysis)
    return errors

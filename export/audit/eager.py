"""A bundle's programs against eager PyTorch on the auditor's own source of the model: is a step what it should be?

errors = step_errors(opened, runtime="onnx", model=model, recipe=recipe, seed=7)

The bundle's golden steps prove nothing here: whoever made the programs recorded them. The data are drawn anew.
"""

from collections.abc import Mapping

import torch
from torch import nn

from fedrela.core.bundle import Bundle, Manifest
from fedrela.core.errors import VerificationFailed
from fedrela.export.classifier import gather
from fedrela.export.inputs import RawInput
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import preparation
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.verification import equality, replay
from fedrela.export.verification.reference import Reference


def recipe_of(
    manifest: Manifest, *, loss: str, augment: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> Recipe:
    """How the manifest says that the model is trained. What it doesn't say (pixels, augmentation) the auditor does."""
    raw = [
        RawInput(item.name, item.dtype, tuple(int(size) for size in item.shape[1:]), _token_limit(manifest, item.dtype))
        for item in manifest.train_step.role("x")
    ]
    return gather(
        input=raw,
        classes=manifest.classes,
        augment=augment,
        mean=mean,
        std=std,
        loss=loss or manifest.loss,
        optimizer=manifest.optimizer,
        hyperparameters=manifest.hyperparameters,
        trainable=[item.name for item in manifest.train_step.role("parameter")],
        proximal=bool(manifest.train_step.role("anchor")),
        class_names=manifest.class_names,
        name=manifest.name,
    )


def step_errors(opened: Bundle, runtime: str, model: nn.Module, recipe: Recipe, seed: int) -> dict[str, float]:
    """Relative error of every output of consecutive steps, predict and relabel, against eager PyTorch, by name.

    Raises VerificationFailed where the model has other tensors than the bundle.
    """
    manifest = opened.manifest
    model = preparation.prepare(model, recipe)
    analysis = analyze(model, recipe)
    own = analysis.parameters(model) | analysis.buffers(model)
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    if shapes != {spec.name: spec.shape for spec in manifest.weights}:
        other = sorted(set(shapes.items()) ^ {(spec.name, spec.shape) for spec in manifest.weights})
        raise VerificationFailed(
            f"the model and the bundle have other tensors: {other[0]}",
            remedy="name the model that the bundle claims to be of, in the version that it was exported from",
        )
    reference = Reference(model, recipe, analysis, manifest)
    exact = Reference(model, recipe, analysis, manifest, torch.float64)
    steps = equality.fresh_steps(reference, exact, manifest, opened.weights, seed)
    return replay.step_errors(replay.load(opened, runtime), steps)


def wrong(errors: Mapping[str, float]) -> dict[str, float]:
    """Those beyond what a runtime's own rounding explains: the first step's first, for later ones go on from it."""
    beyond = {name: error for name, error in errors.items() if not error <= equality.TOLERANCE}
    return dict(sorted(beyond.items(), key=lambda item: (item[0].split(".")[:2] != ["train_step", "0"], -item[1])))


def _token_limit(manifest: Manifest, dtype: str) -> int:
    return manifest.golden.token_limit if dtype not in ("uint8", "float32") else 0

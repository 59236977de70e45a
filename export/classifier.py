"""Export a PyTorch classifier: trace, lower, verify against eager PyTorch, and only then write the bundle.

>>> import tempfile, torch
>>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
>>> exported = export_classifier(model, input="float32:4", classes=3, out=tempfile.mkdtemp() + "/bundle")
>>> exported.largest_error < 1e-4
True
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fedrela.core import bundle
from fedrela.core.bundle import PROGRAMS, Golden, Manifest, Program, ProgramFile, Seal
from fedrela.core.manifest import Fit
from fedrela.core.tensors import Params
from fedrela.export import bundle_folder, inputs, losses, lowering, optimizers, program, publisher_key
from fedrela.export.inputs import RawInput
from fedrela.export.limits import DEFAULT_MAX_BATCH
from fedrela.export.loading import under_either_name
from fedrela.export.program import Definition
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import preparation
from fedrela.export.tracing.model_analysis import ModelAnalysis, analyze
from fedrela.export.verification import equality, recording, repetition
from fedrela.export.verification.reference import Reference

Report = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A bundle that was written, and how closely each runtime followed eager PyTorch."""

    folder: Path
    manifest: Manifest
    seal: Seal
    results: tuple[equality.VerificationResult, ...]

    @property
    def verdicts(self) -> tuple[equality.VerificationResult, ...]:
        """`results` by its former name."""
        return self.results

    @property
    def largest_error(self) -> float:
        """The largest relative error of all."""
        return max(result.largest for result in self.results)


def export_classifier(
    model: nn.Module,
    *,
    input: str | RawInput | Sequence[str | RawInput],  # noqa: A002
    classes: int,
    out: str | Path,
    runtimes: Sequence[str] = ("onnx",),
    augment: str = "",
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    loss: str | losses.Loss | Callable[..., Tensor] = "cross-entropy",
    optimizer: str = "sgd",
    hyperparameters: Mapping[str, float] | None = None,
    trainable: Sequence[str] = ("*",),
    proximal: bool = False,
    class_names: Sequence[str] = (),
    columns: Sequence[str] = (),
    resize: Fit | None = None,
    name: str = "model",
    max_batch: int = DEFAULT_MAX_BATCH,
    private_key: str = "",
    overwrite: bool = False,
    report: Report = lambda stage: None,
    settings: Mapping[str, float] | None = None,
) -> Exported:
    """Write a verified bundle of `model` to the folder `out`.

    input: "dtype:shape" without the batch, or several "name=dtype:shape"; uint8 images are divided by 255, then
    `augment`ed ("crop", "crop=4", "flip"), then normalized by `mean` and `std` per channel, all inside the programs.
    hyperparameters: in place of the optimizer's and the loss's defaults (formerly `settings`, which is still read).
    trainable: patterns of parameter names; the rest is frozen into the programs. private_key: the publisher's, which
    signs the bundle; the user's own unless given (see `fedrela.export.publisher_key`).
    resize: what devices do with pictures of another size: "crop" (the default), "stretch", "pad", "exact" (refuse).
    report: called with a line per stage.

    Raises InvalidInput, UnsupportedOperation or VerificationFailed; then nothing was written.
    """
    recipe = gather(
        input=input,
        classes=classes,
        augment=augment,
        mean=mean,
        std=std,
        loss=loss,
        optimizer=optimizer,
        hyperparameters=under_either_name("hyperparameters", hyperparameters, "settings", settings),
        trainable=trainable,
        proximal=proximal,
        class_names=class_names,
        columns=columns,
        resize=resize,
        name=name,
    )
    key = private_key or publisher_key.load(None, report)
    return export_recipe(model, recipe, Path(out), tuple(runtimes), max_batch, key, overwrite, report)


def gather(
    *,
    input: str | RawInput | Sequence[str | RawInput],  # noqa: A002
    classes: int,
    augment: str = "",
    mean: Sequence[float] = (),
    std: Sequence[float] = (),
    loss: str | losses.Loss | Callable[..., Tensor] = "cross-entropy",
    optimizer: str = "sgd",
    hyperparameters: Mapping[str, float] | None = None,
    trainable: Sequence[str] = ("*",),
    proximal: bool = False,
    class_names: Sequence[str] = (),
    columns: Sequence[str] = (),
    resize: Fit | None = None,
    name: str = "model",
) -> Recipe:
    """The recipe that these options of `export_classifier` mean. Raises InvalidInput."""
    return Recipe(
        inputs=inputs.parse_all(input if isinstance(input, str | RawInput) else list(input)),
        classes=classes,
        pipeline=inputs.parse_augment(augment, inputs.Pipeline(tuple(mean), tuple(std))),
        loss=losses.find(loss),
        optimizer=optimizers.find(optimizer),
        trainable=tuple(trainable),
        proximal=proximal,
        hyperparameters=dict(hyperparameters or {}),
        class_names=tuple(class_names),
        columns=tuple(columns),
        resize=resize,
        name=name,
    )


def export_recipe(
    model: nn.Module,
    recipe: Recipe,
    out: Path,
    runtimes: tuple[str, ...],
    max_batch: int,
    private_key: str,
    overwrite: bool,
    report: Report,
) -> Exported:
    """`export_classifier` with its options checked and gathered."""
    bundle_folder.check(out, overwrite)
    model = preparation.prepare(model, recipe, report)
    report("analysis: running the model a few times in eager PyTorch")
    analysis = analyze(model, recipe)
    definitions = program.build(model, recipe, analysis)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out.parent) as scratch:
        draft = Path(scratch) / "bundle"
        draft.mkdir()
        files = _lower(definitions, runtimes, max_batch, draft, analysis.operators, report)
        lowest = analysis.lowest_values(model)
        manifest = _manifest(recipe, definitions, files, lowest, None)
        reference = Reference(model, recipe, analysis, manifest)
        exact = Reference(model, recipe, analysis, manifest, torch.float64)
        report("golden: recording the golden steps in eager PyTorch")
        manifest = _manifest(recipe, definitions, files, lowest, recording.record(reference, exact, manifest, draft))
        weights = _weights(model, analysis)
        seal = bundle.write(draft, manifest, weights, private_key=private_key)
        report(f"verify: drawing {len(equality.BATCHES)} steps, predict and relabel in eager PyTorch")
        steps = equality.fresh_steps(reference, exact, manifest, weights, seed=0)
        results = []
        for runtime in runtimes:
            report(f"verify: running them on {runtime}, in a fresh process")
            result = equality.replay(draft, runtime, steps)
            result.check()
            results.append(result)
        report(f"verify: running the model {repetition.PASSES} times on the same data")
        repetition.check(model, recipe, analysis)
        bundle_folder.put_in_place(draft, out)
    report(f"written: {out}")
    return Exported(out, manifest, seal, tuple(results))


def _lower(
    definitions: Mapping[str, Definition],
    runtimes: tuple[str, ...],
    max_batch: int,
    folder: Path,
    operators: Mapping[str, str],
    report: Report,
) -> dict[str, list[ProgramFile]]:
    """Write every program for every runtime."""
    files: dict[str, list[ProgramFile]] = {name: [] for name in PROGRAMS}
    for runtime in runtimes:
        for name, definition in definitions.items():
            report(f"{runtime}: tracing and lowering {name}")
            body, file = lowering.lower(definition, runtime, max_batch, operators)
            (folder / file.path).write_bytes(body)
            files[name].append(file)
    return files


def _manifest(
    recipe: Recipe,
    definitions: Mapping[str, Definition],
    files: Mapping[str, list[ProgramFile]],
    lowest: Mapping[str, float],
    golden: Golden | None,
) -> Manifest:
    programs = {
        name: Program(definition.inputs, definition.outputs, tuple(files[name]))
        for name, definition in definitions.items()
    }
    return Manifest(
        name=recipe.name,
        classes=recipe.classes,
        golden=golden or Golden("golden.safetensors", "", 0, token_limit=recipe.token_limit),
        loss=recipe.loss.name,
        optimizer=recipe.optimizer.name,
        hyperparameters=recipe.hyperparameter_defaults(),
        class_names=recipe.class_names,
        preprocessing=recipe.preprocessing(),
        train_step=programs["train_step"],
        predict=programs["predict"],
        relabel=programs["relabel"],
        lowest_values=dict(lowest),
    )


def _weights(model: nn.Module, analysis: ModelAnalysis) -> Params:
    own = analysis.parameters(model) | analysis.buffers(model)
    return {name: tensor.detach().to(torch.float32).cpu().numpy().copy() for name, tensor in own.items()}

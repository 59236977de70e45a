"""From a model and a recipe to a bundle: traced, lowered, verified against eager PyTorch, and only then put in place.

exported = export_recipe(model, recipe, Path("bundle"), ("onnx",), 64, private_key, overwrite=False, report=print)
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from fedrela.core import bundle
from fedrela.core.bundle import PROGRAMS, Golden, Manifest, Program, ProgramFile, Seal
from fedrela.core.tensors import Params
from fedrela.export import limits, lowering, output_folder, program
from fedrela.export.program import Definition
from fedrela.export.recipe import Recipe
from fedrela.export.reporting import stages
from fedrela.export.tracing import preparation
from fedrela.export.tracing.model_analysis import ModelAnalysis, analyze
from fedrela.export.tracing.refusals import refusals
from fedrela.export.verification import equality
from fedrela.export.verification.eager_work import EagerWork
from fedrela.export.verification.fresh_process import FreshProcess, forget_steps, replay

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


@refusals("the model")
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
    """`fedrela.export.export_classifier` with its options checked and gathered.

    report: called with a line per stage (see `fedrela.export.reporting.stages`), and for what is noteworthy.
    """
    output_folder.check(out, output_folder.BUNDLE, overwrite=overwrite)
    lowering.check(runtimes)
    limits.check_max_batch(max_batch, runtimes)
    model = preparation.prepare(model, recipe, report)
    report(stages.ANALYSIS)
    analysis = analyze(model, recipe)
    definitions = program.build(model, recipe, analysis)
    with ExitStack() as resources:
        # They load their runtimes meanwhile.
        fresh = {runtime: resources.enter_context(FreshProcess(runtime)) for runtime in runtimes}
        draft = resources.enter_context(output_folder.drafted(out))
        weights, lowest = _weights(model, analysis), analysis.lowest_values(model)
        without_files = _manifest(recipe, definitions, {name: [] for name in PROGRAMS}, lowest, None)
        eager = resources.enter_context(EagerWork(model, recipe, analysis, without_files, weights, draft))
        files = _lower(definitions, runtimes, max_batch, draft, analysis.operators, report)
        report(stages.EAGER)
        manifest = _manifest(recipe, definitions, files, lowest, eager.golden())
        eager.steps()
        eager.repetition()
        seal = bundle.write(draft, manifest, weights, private_key=private_key)
        report(stages.RUNNING)
        results = _run(draft, fresh)
        if not all(result.right for result in results):
            report(stages.THOROUGH)
            eager.thorough_steps()
            results = tuple(replay(draft, runtime) for runtime in runtimes)
        for result in results:
            result.check()
        forget_steps(draft)
    report(f"written: {out}")
    return Exported(out, manifest, seal, results)


def _run(draft: Path, fresh: Mapping[str, FreshProcess]) -> tuple[equality.VerificationResult, ...]:
    """Every runtime on the golden steps and on the fresh ones, side by side."""
    for process in fresh.values():
        process.begin(draft)
    return tuple(process.result() for process in fresh.values())


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
            report(stages.lowering(runtime, name))
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

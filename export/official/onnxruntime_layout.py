"""onnxruntime-training's own layout: four files that its release 1.19.2 trains, on desktops, Android and more.

    training_model.onnx    loss and gradients: x..., y, weight, randoms..., running statistics... to loss, correct_sum,
                           probabilities, new running statistics...
    eval_model.onnx        the forward pass in evaluation mode, without augmentation: x..., y, weight, running
                           statistics... to loss, correct_sum, probabilities
    optimizer_model.onnx   SGD, or AdamW with this recipe's constants; the learning rate is set from outside
    checkpoint             the parameters, by their names in the model
    statistics.safetensors   running statistics for the first step, where the model has any

Its part runs in an environment of its own (export/official/ort_environment.py, export/official/ort_training_child.py).

    write(model, recipe, Path("official"), environment(build_in=Path("ort-training-env")))
"""

import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from fedrela.core import golden
from fedrela.core.errors import InvalidInput, UnsupportedOperation, VerificationFailed
from fedrela.core.tensors import Array
from fedrela.export import output_folder
from fedrela.export.lowering import examples
from fedrela.export.official import forward
from fedrela.export.official import golden as official_golden
from fedrela.export.official.forward import OUTPUTS, Plan, Written
from fedrela.export.official.golden import GoldenStep
from fedrela.export.official.ort_environment import reason, run
from fedrela.export.recipe import Recipe
from fedrela.export.tracing.refusals import refusals

FILES = ("training_model.onnx", "eval_model.onnx", "optimizer_model.onnx", "checkpoint")
OPSET = 15  # the newest that every gradient of 1.19.2 is registered for
_NO_GRADIENT = r"(?:gradient builder has not been registered: *|find an implementation for )(\w+?)(?:Grad)?\b"
_CHILD = Path(__file__).with_name("ort_training_child.py")


@refusals("the model")
def write(
    model: nn.Module,
    recipe: Recipe,
    folder: Path,
    python: Path,
    *,
    overwrite: bool = False,
    report: Callable[[str], None] = lambda stage: None,
) -> Written:
    """Write the four files to `folder`, after onnxruntime-training passed the golden steps with them.

    python: from `ort_environment.environment`. Its SGD has neither momentum nor weight decay, so the golden steps are
    run without.
    Raises InvalidInput where the folder is in use, UnsupportedOperation where it has no gradient for an operator,
    VerificationFailed where a tensor differs.
    """
    output_folder.check(folder, (*FILES, forward.STATISTICS), overwrite=overwrite)
    if recipe.optimizer.name == "nesterov":
        raise InvalidInput("onnxruntime-training has plain SGD and AdamW only", remedy="use --optimizer sgd or adamw")
    planned = forward.plan(model, recipe)
    adamw = recipe.optimizer.name == "adamw"
    constants = recipe.hyperparameter_defaults() if adamw else {}
    steps = official_golden.golden_steps(planned, {} if adamw else {"momentum": 0.0, "weight_decay": 0.0})
    with output_folder.drafted(folder) as draft, tempfile.TemporaryDirectory(dir=draft) as scratch:
        workplace = Path(scratch)
        report("ort-training: exporting the forward pass")
        parameters = _forward(planned, workplace / "train_forward.onnx", training=True)
        _forward(planned, workplace / "eval_forward.onnx", training=False)
        _hand_over(planned, steps, constants, parameters, workplace)
        report("ort-training: gradients and golden steps with onnxruntime-training")
        errors = _made_and_checked(planned, steps, python, workplace)
        for name in FILES:
            shutil.move(workplace / "artifacts" / name, draft / name)
        made = (*FILES, *(path.name for path in planned.write_statistics(draft)))
    return Written(tuple(folder / name for name in made), planned.fed, errors)


def _forward(planned: Plan, path: Path, *, training: bool) -> tuple[str, ...]:
    """Write the forward pass as ONNX; the names of its parameters."""
    fed, outputs = (planned.fed, planned.outputs) if training else (planned.fed_in_evaluation, OUTPUTS)
    by_name = dict(zip([item.name for item in planned.step.inputs], examples(planned.step), strict=True))
    axes = {item.name: {item.shape.index("B"): "B"} for item in fed if "B" in item.shape}
    module = forward.loss_module(planned, training=training)
    with _Explicit(), warnings.catch_warnings(), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            tuple(by_name[item.name] for item in fed),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[item.name for item in fed],
            output_names=list(outputs),
            dynamic_axes=axes | {"probabilities": {0: "B"}},
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    written = onnx.load(path)
    for node in written.graph.node:
        node.doc_string = ""
    onnx.save(written, path)
    return tuple(item.name for item in written.graph.initializer)


class _Explicit(TorchFunctionMode):
    """Group normalization as mean and variance, for whose operators 1.19.2 has gradients."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_group_norm if func is F.group_norm else func)(*args, **(kwargs or {}))


def _group_norm(
    x: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    grouped = x.reshape(x.shape[0], num_groups, -1)
    centered = grouped - grouped.mean(2, keepdim=True)
    normal = (centered / torch.sqrt((centered * centered).mean(2, keepdim=True) + eps)).reshape(x.shape)
    per_channel = [1, x.shape[1], *[1] * (x.dim() - 2)]
    normal = normal if weight is None else normal * weight.reshape(per_channel)
    return normal if bias is None else normal + bias.reshape(per_channel)


def _hand_over(
    planned: Plan, steps: list[GoldenStep], constants: Mapping[str, float], parameters: tuple[str, ...], folder: Path
) -> None:
    """Write what the child needs: settings.json and golden.npz."""
    trainable = planned.analysis.trainable
    settings = {
        "trainable": list(trainable),
        "frozen": [name for name in parameters if name not in trainable],
        "optimizer": planned.recipe.optimizer.name,
        "lr": float(steps[0].inputs["lr"]),
        "steps": len(steps),
        "fed": [item.name for item in planned.fed],
        "fed_eval": [item.name for item in planned.fed_in_evaluation],
        "statistics": list(planned.statistics),
        "undetermined": [name for name in trainable if f"new.{name}" not in steps[0].expected],
        "constants": dict(constants),
        "golden_constants": {name: float(steps[0].inputs[name]) for name in constants},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    arrays = {f"{n}.{item.name}": step.inputs[item.name] for n, step in enumerate(steps) for item in planned.fed}
    parameters_given = {f"{n}.{name}": step.inputs[name] for n, step in enumerate(steps) for name in trainable}
    np.savez(folder / "golden.npz", **arrays, **parameters_given)  # type: ignore[arg-type]  # numpy's own options are no arrays


def _made_and_checked(planned: Plan, steps: list[GoldenStep], python: Path, folder: Path) -> dict[str, float]:
    """Run the child and hold what it gives against eager PyTorch: relative errors by golden output."""
    done = run([str(python), str(_CHILD), str(folder)])
    if done.returncode:
        missing = re.search(_NO_GRADIENT, done.stderr)
        why = f"it has no gradient for {missing[1]}" if missing else reason(done)
        raise (UnsupportedOperation if missing else VerificationFailed)(
            f"onnxruntime-training can't take this model ({why})",
            remedy="replace that layer, or use --format bundle, which has a gradient for it",
        )
    results = dict(np.load(folder / "results.npz"))
    for name, value in planned.start().items():
        if not np.array_equal(results.pop(f"checkpoint.{name}"), value):
            raise VerificationFailed(f"the checkpoint holds another {name} than the model", remedy="export again")
    outcomes: list[dict[str, Array]] = [
        {key.removeprefix(f"{n}."): value for key, value in results.items() if key.startswith(f"{n}.")}
        for n in range(len(steps))
    ]
    tolerance = planned.manifest().golden.tolerance
    errors = official_golden.compare("ort-training", steps, outcomes, tolerance)
    trained = {name.removeprefix("new."): value for name, value in outcomes[-1].items() if name.startswith("new.")}
    predicted = official_golden.probabilities(planned, steps[0], trained)
    errors["probabilities"] = golden.relative_error(predicted, results["probabilities"])
    official_golden.check("ort-training", "probabilities", errors["probabilities"], tolerance)
    return errors

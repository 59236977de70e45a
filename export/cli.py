"""The verb `fedrela export`; the verbs on bundles that are there already are in `bundle_verbs.py`.

$ fedrela export my_module:build --input uint8:3x32x32 --classes 10 --out bundle
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from fedrela.core.errors import InvalidInput
from fedrela.export.limits import DEFAULT_MAX_BATCH
from fedrela.export.reporting import display

app = typer.Typer(add_completion=False)
_status = Console(stderr=True, highlight=False)


class Runtime(StrEnum):
    """What a program is lowered for."""

    onnx = "onnx"
    executorch = "executorch"
    both = "both"


class Resize(StrEnum):
    """What devices do with pictures of another size than the model's."""

    exact = "exact"
    stretch = "stretch"
    crop = "crop"
    pad = "pad"


class Layout(StrEnum):
    """What `fedrela export` writes."""

    bundle = "bundle"
    executorch_training = "executorch-training"
    ort_training = "ort-training"


_OF_NO_USE = {
    Layout.bundle: ("ort_training_python",),
    Layout.executorch_training: ("runtime", "publisher_key", "ort_training_python"),
    Layout.ort_training: ("runtime", "publisher_key", "max_batch"),
}

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@app.callback()
def verbs() -> None:
    """Turn PyTorch classifiers into verified training programs."""
    # Nothing to do; but without a callback typer would take the only verb for the program itself.


@app.command("export")
def export_command(
    context: typer.Context,
    target: Annotated[
        str, typer.Argument(help="module:function that returns the torch.nn.Module, or path/to/file.py:function.")
    ],
    input: Annotated[  # noqa: A002
        list[str],
        typer.Option(
            help="dtype:shape without the batch: uint8:3x32x32 (pixels), float32:20, "
            "int64:50:1000 (50 tokens below 1000). "
            "Several: --input image=uint8:3x8x8 --input age=float32:1."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write; must not hold anything else.")],
    classes: Annotated[int | None, typer.Option(help="Number of classes. [default: as many as are named]")] = None,
    runtime: Annotated[Runtime, typer.Option(help="Runtimes to lower for.")] = Runtime.onnx,
    augment: Annotated[
        str, typer.Option(help="In-graph augmentation of images: crop, crop=PIXELS, flip, or both: crop,flip.")
    ] = "",
    mean: Annotated[str, typer.Option(help="Per-channel mean of pixels in 0..1, e.g. 0.49,0.48,0.45.")] = "",
    std: Annotated[str, typer.Option(help="Per-channel standard deviation of pixels in 0..1.")] = "",
    loss: Annotated[
        str,
        typer.Option(
            help="cross-entropy, label-smoothing, focal, balanced-softmax, logit-adjustment, "
            "or module:function of your own."
        ),
    ] = "cross-entropy",
    optimizer: Annotated[
        str, typer.Option(help="sgd (with momentum), nesterov, plain-sgd (no state) or adamw.")
    ] = "sgd",
    hyperparameter: Annotated[
        list[str],
        typer.Option(
            help="Default of one, e.g. --hyperparameter momentum=0.9; may be repeated. A task may override it."
        ),
    ] = [],  # noqa: B006
    set_: Annotated[list[str], typer.Option("--set", hidden=True)] = [],  # noqa: B006
    trainable: Annotated[
        list[str],
        typer.Option(help="Train only parameters that match, e.g. 'head.*'; the rest is frozen into the programs."),
    ] = ["*"],  # noqa: B006
    proximal: Annotated[
        bool, typer.Option(help="Add FedProx's proximal term, with `proximal` as a hyperparameter.")
    ] = False,
    class_names: Annotated[str, typer.Option(help="Names of the classes in order, separated by commas.")] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="A folder or zip of class folders, such as devices have: its folders name the classes."),
    ] = None,
    columns: Annotated[str, typer.Option(help="Columns of a table in the model's order, separated by commas.")] = "",
    resize: Annotated[
        Resize | None,
        typer.Option(
            help="What devices do with pictures of another size: crop them to the model's proportions and scale, "
            "stretch, pad with black, or exact: refuse them. [default: crop for pictures]"
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the model, for the manifest. [default: the function's]")] = "",
    max_batch: Annotated[
        int, typer.Option(min=1, help="Largest batch of the ExecuTorch programs; ONNX takes any.")
    ] = DEFAULT_MAX_BATCH,
    publisher_key: Annotated[
        Path | None,
        typer.Option(
            "--publisher-key",
            "--key",
            help="File with the publisher's Ed25519 private key (hex), which signs the bundle. "
            "[default: your own, ~/.config/fedrela/publisher.key, made on first use]",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an export that is already there.")] = False,
    layout: Annotated[
        Layout,
        typer.Option(
            "--format",
            help="bundle; executorch-training: .pte and .ptd for ExecuTorch's own TrainingModule; ort-training: the "
            "files of onnxruntime-training 1.19.2. The last two are trained by those runtimes, not by fedrela device.",
        ),
    ] = Layout.bundle,
    ort_training_python: Annotated[
        Path | None,
        typer.Option(help="A Python that has onnxruntime-training-cpu 1.19.2. [default: one is built in ~/.cache]"),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Turn a PyTorch classifier into training programs, proven equal to PyTorch.

    The training step, the prediction and FedReLa's re-labeling become files that stock runtimes run. Each is run for
    three steps against eager PyTorch in a process of its own; where any tensor differs, nothing is written.
    """
    from fedrela.export import publisher_key as keys
    from fedrela.export.bundling import export_recipe
    from fedrela.export.class_names import count, in_data
    from fedrela.export.classifier import gather
    from fedrela.export.loading import load_model, numbers, pairs, under_either_name, words
    from fedrela.export.reporting.progress import Progress
    from fedrela.export.reporting.stages import planned

    _refuse_options_of_no_use(context, layout)
    names = words(class_names) or (in_data(data) if data else ())
    classes = count(names, classes)
    model = load_model(target)
    recipe = gather(
        input=input,
        classes=classes,
        augment=augment,
        mean=numbers(mean, "--mean"),
        std=numbers(std, "--std"),
        loss=loss,
        optimizer=optimizer,
        hyperparameters=pairs(under_either_name("--hyperparameter", hyperparameter, "--set", set_)),
        trainable=trainable,
        proximal=proximal,
        class_names=names,
        columns=words(columns),
        resize=resize.value if resize else None,
        name=name or target.rpartition(":")[0].rpartition("/")[2].removesuffix(".py").rpartition(".")[2],
    )
    if layout is not Layout.bundle:
        _export_official(model, recipe, out, layout, max_batch, overwrite, ort_training_python, as_json)
        return
    runtimes = ("onnx", "executorch") if runtime is Runtime.both else (runtime.value,)
    private_key = keys.load(publisher_key, _say)
    if not names and recipe.inputs[0].is_image:
        _say(
            f"the classes have no names: folders of pictures must be called 0 to {classes - 1} (--class-names, --data)"
        )
    with Progress(planned(runtimes), _status) as progress:
        exported = export_recipe(model, recipe, out, runtimes, max_batch, private_key, overwrite, progress.report)
    if as_json:
        typer.echo(json.dumps(display.summary(exported.manifest, exported.results) | {"folder": str(exported.folder)}))
        return
    display.print_programs(exported.manifest)
    display.print_verification(exported.manifest, exported.results)


def _refuse_options_of_no_use(context: typer.Context, layout: Layout) -> None:
    for name in _OF_NO_USE[layout]:
        source = context.get_parameter_source(name)
        if source and source.name == "COMMANDLINE":
            problem = f"--{name.replace('_', '-')} is of no use with --format {layout.value}"
            raise InvalidInput(problem, remedy="leave one of them out")


def _say(stage: str) -> None:
    _status.print(f"[dim]•[/dim] {escape(stage)}", soft_wrap=True)


def _export_official(
    model: Any,
    recipe: Any,
    out: Path,
    layout: Layout,
    max_batch: int,
    overwrite: bool,
    python: Path | None,
    as_json: bool,
) -> None:
    """Write one of the official layouts, and say what was written and how exactly it follows eager PyTorch."""
    if layout is Layout.executorch_training:
        from fedrela.export.official import executorch_layout

        written = executorch_layout.write(model, recipe, out, max_batch=max_batch, overwrite=overwrite, report=_say)
    else:
        from fedrela.export.official import onnxruntime_layout, ort_environment

        environment = ort_environment.environment(python=python, report=_say)
        written = onnxruntime_layout.write(model, recipe, out, environment, overwrite=overwrite, report=_say)
    files = {path.name: path.stat().st_size for path in written.files}
    inputs = [f"{item.name} {item.dtype} {list(item.shape)}" for item in written.inputs]
    if as_json:
        summary = {"folder": str(out), "files": files, "inputs": inputs, "largest_error": max(written.errors.values())}
        typer.echo(json.dumps(summary))
        return
    display.print_files(f"{layout.value} in {out}", files, inputs, written.errors)

"""Export a PyTorch classifier: trace, lower, verify against eager PyTorch, and only then write the bundle.

>>> import tempfile, torch
>>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
>>> exported = export_classifier(model, input="float32:4", classes=3, out=tempfile.mkdtemp() + "/bundle")
>>> exported.largest_error < 1e-4
True
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from fedrela.core.manifest import Fit
from fedrela.export import inputs, losses, optimizers, publisher_key
from fedrela.export.bundling import Exported, Report, export_recipe
from fedrela.export.inputs import RawInput
from fedrela.export.limits import DEFAULT_MAX_BATCH
from fedrela.export.loading import under_either_name
from fedrela.export.recipe import Recipe


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

"""A cell's engine on a device of PyTorch's, from the same model and the same options as its bundle.

engine = opened(cell, bundle, "cuda")
"""

from fedrela.core.bundle import Bundle
from fedrela.export import program
from fedrela.export.classifier import gather
from fedrela.export.loading import load_model
from fedrela.export.tracing import preparation
from fedrela.export.tracing.model_analysis import analyze
from fedrela.study.eager.engine import EagerEngine
from fedrela.study.methods import METHODS
from fedrela.study.runs.cells import Cell


def opened(cell: Cell, bundle: Bundle, device: str) -> EagerEngine:
    """The engine of the bundle that `runs.bundles.exported` makes of the cell. Raises InvalidBundle."""
    method, classes = METHODS[cell.method], bundle.manifest.classes
    options = [option.format(classes=classes) for option in method.export]
    loss = options[options.index("--loss") + 1] if "--loss" in options else "cross-entropy"
    recipe = gather(
        input=cell.model.input,
        classes=classes,
        augment=",".join(cell.model.augment),
        loss=loss,
        proximal="--proximal" in options,
    )
    model = preparation.prepare(load_model(cell.model.build + method.model_suffix), recipe, lambda line: None)
    analysis = analyze(model, recipe)
    return EagerEngine(bundle.manifest, program.build(model.to(device), recipe, analysis), device)

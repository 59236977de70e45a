"""A model's three programs as files of a runtime.

bodies(nn.Linear(3, 2), "float32:3", 2, "onnx")["predict"]
"""

from collections.abc import Callable

import torch
from torch import nn

from fedrela.export import lowering, program
from fedrela.export.classifier import gather
from fedrela.export.tracing import preparation
from fedrela.export.tracing.model_analysis import analyze


def bodies(build: Callable[[], nn.Module], given: str, classes: int, runtime: str) -> dict[str, bytes]:
    """The bytes of each, for batches of up to 8."""
    torch.manual_seed(0)
    recipe = gather(input=given, classes=classes)
    model = preparation.prepare(build(), recipe)
    definitions = program.build(model, recipe, analyze(model, recipe))
    return {name: lowering.lower(definition, runtime, 8)[0] for name, definition in definitions.items()}

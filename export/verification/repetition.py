"""Whether a model that is run again and again on the same data from the same state gives the same each time.

A program does. A model that reads what no state holds (a count that its class keeps, Python's own random numbers, the
clock) doesn't, and neither would its training on devices be what it is in PyTorch.
"""

import copy

import torch
from torch import nn

from fedrela.core.errors import VerificationFailed
from fedrela.export.recipe import Recipe
from fedrela.export.tracing import running
from fedrela.export.tracing.model_analysis import ModelAnalysis

PASSES = 20  # forward passes in training mode, of one module that is never replaced
_BATCHES = (3, 5, 2)  # in turns: a model may keep how many examples it saw
_ROUNDING = 1e-5  # relative


def check(model: nn.Module, recipe: Recipe, analysis: ModelAnalysis) -> None:
    """Raise VerificationFailed naming what differs after how many passes."""
    lasting = copy.deepcopy(model)
    start = {name: value.detach().clone() for name, value in _state(lasting, analysis).items()}
    fresh = {batch: _given(copy.deepcopy(model), recipe, analysis, batch) for batch in _BATCHES}
    for number in range(PASSES):
        with torch.no_grad():
            for name, value in _state(lasting, analysis).items():
                value.copy_(start[name])
        batch = _BATCHES[number % len(_BATCHES)]
        for name, value in _given(lasting, recipe, analysis, batch).items():
            if not torch.allclose(value, fresh[batch][name], rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True):
                raise VerificationFailed(
                    f"the model's {name} differs in forward pass {number + 1} from what a fresh copy gives, on the "
                    f"same data from the same state",
                    remedy="let the model depend on its parameters, buffers and inputs alone: no counts, clocks or "
                    "random numbers of Python's",
                )


def _given(model: nn.Module, recipe: Recipe, analysis: ModelAnalysis, batch: int) -> dict[str, torch.Tensor]:
    """The logits of one pass, and the buffers after it."""
    logits = running.plain_pass(model, recipe, analysis.held, batch, seed=0)
    return {"logits": logits} | {name: buffer.clone() for name, buffer in analysis.buffers(model).items()}


def _state(model: nn.Module, analysis: ModelAnalysis) -> dict[str, torch.Tensor]:
    return analysis.parameters(model) | analysis.buffers(model)

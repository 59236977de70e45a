"""Random raw inputs of a recipe, and what a model is given of them.

>>> import torch
>>> from fedrela.export.inputs import parse
>>> from fedrela.export.recipe import Recipe
>>> recipe = Recipe((parse("uint8:1x2x2"),), classes=2)
>>> model_inputs(recipe, example(recipe, 3, torch.Generator().manual_seed(0)))["x"].shape
torch.Size([3, 1, 2, 2])
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from fedrela.export.inputs import NEUTRAL_UNIFORM
from fedrela.export.recipe import Recipe


def example(recipe: Recipe, batch: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Random raw inputs of the right shapes and ranges."""
    tensors = {}
    for raw in recipe.inputs:
        shape = (batch, *raw.shape)
        if raw.dtype == "float32":
            tensors[raw.name] = torch.rand(shape, generator=generator) * 2 - 1
        else:
            limit = raw.token_limit or 256
            tensors[raw.name] = torch.randint(limit, shape, generator=generator).to(getattr(torch, raw.dtype))
    return tensors


def model_inputs(recipe: Recipe, raw_inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's inputs, normalized and augmented by nothing."""
    batch = len(next(iter(raw_inputs.values())))
    neutral = {
        name: torch.full([batch if size == "B" else int(size) for size in shape], NEUTRAL_UNIFORM)
        for name, shape in recipe.augmentation_randoms().items()
    }
    return {raw.name: recipe.pipeline(raw, raw_inputs[raw.name], neutral) for raw in recipe.inputs}

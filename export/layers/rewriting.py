"""Layers of a user's model in the forms that a training program needs, without changing the model.

While `Rewriting` is active, calls of a few torch functions (those that draw random numbers, dropout of attention and
recurrent layers, batch, instance, response and weight normalization, resizing) take another way: random numbers are
asked from `uniforms` instead of drawn, and examples of weight 0 don't count in batch statistics. Every other function
runs as it is.

    >>> import torch
    >>> def half(shape): return torch.full(shape, 0.5)
    >>> with Rewriting(torch.ones(2), half):
    ...     torch.nn.functional.dropout(torch.ones(2, 3), p=0.25)
    tensor([[1.3333, 1.3333, 1.3333],
            [1.3333, 1.3333, 1.3333]])
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from fedrela.export.layers import (
    batchnorm,
    dropout,
    embeddingbag,
    gridsample,
    instancenorm,
    pooling,
    recurrence,
    resize,
    responsenorm,
    spelled_out,
    supply,
    volumes,
    weightnorm,
)
from fedrela.export.layers.normalization import Normalization

Uniforms = Callable[[tuple[Any, ...]], Tensor]


class Rewriting(TorchFunctionMode):
    """Active inside `with`. `weight` (B,) or None: every example counts; `uniforms` gives random numbers of a shape.

    normalize: what normalizes a batch, if the usual form doesn't suit the one who differentiates; loops: whether one
    loop stands for all steps of a recurrent layer, which is differentiated by hand as well.
    """

    def __init__(
        self,
        weight: Tensor | None,
        uniforms: Uniforms,
        normalize: batchnorm.Normalize = Normalization.apply,
        *,
        loops: bool = True,
    ) -> None:
        super().__init__()
        self._rules = supply.rules(uniforms) | {
            F.batch_norm: batchnorm.rule(weight, normalize),
            F.instance_norm: instancenorm.rule(weight),
            torch._weight_norm: weightnorm.weight_norm,
            torch.bilinear: spelled_out.bilinear,
            F.embedding: embeddingbag.embedding,
            torch.embedding: embeddingbag.embedding_operator,
            F.embedding_bag: embeddingbag.embedding_bag,
            F.local_response_norm: responsenorm.local_response_norm,
            torch.logcumsumexp: spelled_out.logcumsumexp,
            Tensor.logcumsumexp: spelled_out.logcumsumexp,
            torch.adaptive_avg_pool1d: pooling.adaptive_avg_pool1d,
            F.adaptive_max_pool1d: pooling.adaptive_max_pool1d,
            F.adaptive_avg_pool2d: pooling.adaptive_avg_pool2d,
            F.adaptive_max_pool2d: pooling.adaptive_max_pool2d,
            F.max_pool3d: volumes.max_pool3d,
            F.max_pool3d_with_indices: volumes.max_pool3d,
            F.avg_pool3d: volumes.avg_pool3d,
            F.adaptive_avg_pool3d: volumes.adaptive_avg_pool3d,
            F.adaptive_max_pool3d: volumes.adaptive_max_pool3d,
            F.adaptive_max_pool3d_with_indices: volumes.adaptive_max_pool3d,
            F.grid_sample: gridsample.grid_sample,
            F.affine_grid: gridsample.affine_grid,
            F.interpolate: resize.interpolate,
            F.upsample: resize.interpolate,
        }
        if loops:
            layers = recurrence.rules().items()
            self._rules |= {function: partial(dropout.recurrent, own, uniforms) for function, own in layers}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._rules.get(func, func)(*args, **(kwargs or {}))

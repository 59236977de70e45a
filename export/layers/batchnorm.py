"""Batch normalization in training mode over the examples that count.

Every example of weight w counts w times in the mean and the variance, so padding (w = 0) counts nowhere; with weights
of 1 this is Ioffe and Szegedy, "Batch Normalization", ICML 2015, as torch.nn computes it. Running statistics are
updated in place with the unbiased variance, as torch does.

    >>> import torch
    >>> x = torch.tensor([[1.0], [3.0], [100.0]])
    >>> weighted(x, torch.tensor([1.0, 1.0, 0.0]), None, None, None, None, 0.1, 0.0)[:2]
    tensor([[-1.],
            [ 1.]])
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fedrela.core.errors import UnsupportedOperation
from fedrela.export.layers.normalization import Normalization

_BATCH_NORM = F.batch_norm
Normalize = Callable[[Tensor, Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]


def rule(weight: Tensor | None, normalize: Normalize = Normalization.apply) -> Callable[..., Tensor]:
    """What replaces `torch.nn.functional.batch_norm` for a batch of `weight` (B,)."""

    def batch_norm(
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        scale: Tensor | None = None,
        shift: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return _BATCH_NORM(x, running_mean, running_var, scale, shift, False, momentum, eps)
        return weighted(x, weight, running_mean, running_var, scale, shift, momentum, eps, normalize)

    # torch calls the scale `weight` and the shift `bias`.
    return lambda x, mean, var, weight=None, bias=None, *rest, **named: batch_norm(
        x, mean, var, weight, bias, *rest, **named
    )


def weighted(
    x: Tensor,
    weight: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    momentum: float | None,
    eps: float,
    normalize: Normalize = Normalization.apply,
) -> Tensor:
    """Normalize x (B, C, ...) per channel over the weighted batch; weight (B,). Running statistics (C,) change."""
    if momentum is None:
        raise UnsupportedOperation(
            "a BatchNorm layer with momentum=None keeps a cumulative average, which depends on a counter",
            remedy="give it a momentum, e.g. BatchNorm2d(channels, momentum=0.1)",
        )
    places = 1
    for size in x.shape[2:]:
        places *= size
    weight = per_row(weight, x)
    count = weight.sum() * places
    share = weight / torch.clamp(count, min=1e-12)
    scale = torch.ones_like(x[0].reshape(x.shape[1], -1)[:, 0]) if scale is None else scale
    shift = torch.zeros_like(scale) if shift is None else shift
    normal, mean, variance = normalize(x, scale, shift, share, eps)
    with torch.no_grad():
        _update(running_mean, mean, momentum, count)
        _update(running_var, variance * (count / torch.clamp(count - 1, min=1e-12)), momentum, count)
    return normal


def per_row(weight: Tensor | None, x: Tensor) -> Tensor:
    """One weight for each of x's rows; a model may have merged other dimensions into the batch, after it.

    Rows that are no examples, as of weights that a layer normalizes, count alike. Raises UnsupportedOperation where
    the examples are in another dimension.
    """
    rows = x.shape[0]
    if weight is None or _are_no_examples(rows, weight.shape[0]):
        if any(not isinstance(size, int) for size in x.shape[1:]):
            raise UnsupportedOperation(
                "batch normalization of a tensor whose first dimension is not the batch",
                remedy="bring the batch to the front before it, e.g. with transpose, and back after it",
            )
        first: tuple[slice | int, ...] = (slice(None), *[0] * (x.dim() - 1))
        return torch.ones_like(x[first])
    if weight.shape[0] == rows:
        return weight
    return weight[:, None].expand(-1, rows // weight.shape[0]).reshape(-1)


def _are_no_examples(rows: int | torch.SymInt, examples: int | torch.SymInt) -> bool:
    """While a program is traced the batch is a symbol, and so is every size that depends on it."""
    if isinstance(examples, int) and isinstance(rows, int):
        return rows % examples > 0
    return isinstance(rows, int)


def _update(running: Tensor | None, observed: Tensor, momentum: float, count: Tensor) -> None:
    """An exponential average; left alone by a batch of fewer than two values, which has no variance."""
    if running is None:
        return
    rate = momentum * (count > 1).to(running.dtype)
    running.copy_(running + rate * (torch.where(count > 1, observed, running) - running))

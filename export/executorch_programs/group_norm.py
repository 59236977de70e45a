"""GroupNorm for ExecuTorch, and its gradient, from centered inputs.

torch takes both apart into x * slope + shift and sums of grad * x, in which large terms cancel: of a small gradient, as
that of a bias before the layer, far more rounding is left than in eager PyTorch.

Notation: G groups of M elements, d = x - mean, r = 1 / sqrt(mean d^2 + eps), g = gamma dy:
    y = gamma r d + beta;  dx = r g - r mean_M(g) - r^3 d mean_M(g d);  dgamma = sum(r dy d);  dbeta = sum(dy)

    >>> x = torch.arange(6.0).reshape(1, 2, 3)
    >>> y, mean, rstd = native_group_norm(x, torch.ones(2), torch.zeros(2), 1, 2, 3, 1, 0.0)
    >>> torch.allclose(y, torch.nn.functional.group_norm(x, 1, eps=0.0)), mean.tolist()
    (True, [[2.5]])
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def native_group_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, n: int, channels: int, places: int, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """aten.native_group_norm: y like x (n, channels, ...), mean (n, groups), rstd (n, groups)."""
    grouped = x.reshape(n * groups, channels // groups * places)
    mean = grouped.mean(1, keepdim=True)
    centered = grouped - mean
    rstd = 1 / torch.sqrt((centered * centered).mean(1, keepdim=True) + eps)
    if weight is None:
        y = (centered * rstd).reshape(n * channels, places)
    else:
        y = centered.reshape(n * channels, places) * _slope(rstd, weight, n, groups).reshape(n * channels, 1)
    if bias is not None:
        y = y + bias.reshape(1, channels).expand(n, channels).reshape(n * channels, 1)
    return y.reshape(x.shape), mean.reshape(n, groups), rstd.reshape(n, groups)


def native_group_norm_backward(
    grad: Tensor,
    x: Tensor,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    n: int,
    channels: int,
    places: int,
    groups: int,
    mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """aten.native_group_norm_backward: gradients of x, weight and bias; None where `mask` doesn't ask for one."""
    share = channels // groups
    centered = x.reshape(n * groups, share * places) - mean.reshape(n * groups, 1)
    dy = grad.reshape(n * channels, places)
    sums = dy.sum(1).reshape(n, groups, share)
    products = (dy * centered.reshape(n * channels, places)).sum(1).reshape(n, groups, share)
    r = rstd.reshape(n * groups, 1)
    grad_x = None
    if mask[0]:
        of = torch.ones_like(sums[:1]) if weight is None else weight.reshape(1, groups, share)
        pulled = (products * of).sum(2).reshape(n * groups, 1) * (r * r * r * (-1 / (share * places)))
        lifted = (sums * of).sum(2).reshape(n * groups, 1) * (r * (-1 / (share * places)))
        steep = (dy * _slope(rstd, of, n, groups).reshape(n * channels, 1)).reshape(n * groups, share * places)
        grad_x = (steep + (centered * pulled + lifted)).reshape(x.shape)
    grad_weight = (products * rstd.reshape(n, groups, 1)).sum(0).reshape(channels) if mask[1] else None
    return grad_x, grad_weight, sums.sum(0).reshape(channels) if mask[2] else None


def _slope(rstd: Tensor, weight: Tensor, n: int, groups: int) -> Tensor:
    """rstd times each channel's weight, (n, groups, channels per group)."""
    return rstd.reshape(n, groups, 1) * weight.reshape(1, groups, -1)

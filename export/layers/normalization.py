"""Normalizing a weighted batch per channel, with its gradient written out: few passes over the data, and few operators.

Left to autograd, the formula of batch normalization costs nine passes forwards and about fifteen backwards; written out
it is five and six, and the affine map is one operator.

Notation: share p_b = weight_b / (sum of weights * positions), so that sum over b and positions of p_b = 1;
mean m = sum p x, centered d = x - m, variance v = sum p d^2, r = 1 / sqrt(v + eps), y = scale r d + shift:
    dx = scale r (dy - p sum(dy) - p r^2 d sum(dy d));  dscale = r sum(dy d);  dshift = sum(dy)

    >>> x = torch.tensor([[1.0], [3.0], [100.0]])
    >>> one, share = torch.ones(1), torch.tensor([0.5, 0.5, 0.0])
    >>> Normalization.apply(x, one, 0 * one, share, 0.0)[0][:2].flatten().tolist()
    [-1.0, 1.0]
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

aten = torch.ops.aten


class Normalization(torch.autograd.Function):
    """x (B, C, ...), scale (C,), shift (C,), share (B,) -> y like x, mean (C,), biased variance (C,).

    Gradients reach x, scale and shift; mean and variance have none.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, share: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean = share @ _per_map(x)
        centered = x - _over_maps(mean, x)
        variance = share @ _per_map(centered * centered)
        rstd = 1 / torch.sqrt(variance + eps)
        ctx.save_for_backward(centered, rstd, scale, share)
        ctx.mark_non_differentiable(mean, variance)
        return _affine(centered, rstd * scale, shift), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        centered, rstd, scale, share = ctx.saved_tensors
        total, product = _per_map(grad).sum(0), _per_map(grad * centered).sum(0)
        slope = rstd * scale
        pulled = share[:, None] * (-slope * rstd * rstd * product)[None]
        lifted = share[:, None] * (-slope * total)[None]
        grad_x = grad * _over_maps(slope, grad) + _affine_per_map(centered, pulled, lifted)
        return grad_x, rstd * product, total, None, None


def plain(x: Tensor, scale: Tensor, shift: Tensor, share: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """The same forward in the fewest kinds of operators, for runtimes that differentiate by themselves."""
    maps = [0, *range(2, x.dim())]
    shares = share.reshape([-1, *[1] * (x.dim() - 1)])
    mean = (x * shares).sum(maps)
    centered = x - _over_maps(mean, x)
    variance = (centered * centered * shares).sum(maps)
    normal = centered / _over_maps(torch.sqrt(variance + eps), x) * _over_maps(scale, x) + _over_maps(shift, x)
    return normal, mean.detach(), variance.detach()


def _per_map(x: Tensor) -> Tensor:
    """Sums over positions, (B, C)."""
    return x.sum(tuple(range(2, x.dim()))) if x.dim() > 2 else x


def _over_maps(values: Tensor, x: Tensor) -> Tensor:
    """(C,) or (B, C) in a shape that broadcasts over x (B, C, ...)."""
    return values.reshape([*([1] if values.dim() == 1 else []), *values.shape, *[1] * (x.dim() - 2)])


def _affine(x: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    """x * slope + shift with one number per channel: normalization by known statistics 0 and 1 is just that."""
    zeros, ones = torch.zeros_like(slope), torch.ones_like(slope)
    result: Tensor = aten._native_batch_norm_legit_no_training(x, slope, shift, zeros, ones, 0.0, 0.0)[0]
    return result


def _affine_per_map(x: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    """x * slope + shift with one number (B, C) per example and channel."""
    return x * _over_maps(slope, x) + _over_maps(shift, x)

"""Instance normalization in training mode: group normalization with a group per channel, which every runtime has a fast
and exact form of.

Running statistics, where a layer keeps some, take the average over the examples that count, with the unbiased variance,
as torch's do over all; each example of weight w counts w times.

    >>> import torch
    >>> x = torch.tensor([[[1.0, 3.0]], [[9.0, 9.0]]])
    >>> mean, variance = torch.zeros(1), torch.ones(1)
    >>> rule(torch.tensor([1.0, 0.0]))(x, mean, variance, momentum=1.0, eps=0.0)[0]
    tensor([[-1.,  1.]])
    >>> mean, variance
    (tensor([2.]), tensor([2.]))
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fedrela.export.layers.batchnorm import per_row

_INSTANCE_NORM = F.instance_norm


def rule(counts: Tensor | None) -> Callable[..., Tensor]:
    """What replaces `torch.nn.functional.instance_norm` for a batch whose examples count as often as `counts` (B,)."""

    def instance_norm(
        x: Tensor,
        running_mean: Tensor | None = None,
        running_var: Tensor | None = None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        use_input_stats: bool = True,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not use_input_stats:
            return _INSTANCE_NORM(x, running_mean, running_var, weight, bias, False, momentum, eps)
        if running_mean is not None and running_var is not None:
            _update(running_mean, running_var, x, per_row(counts, x), momentum)
        return F.group_norm(x, x.shape[1], weight, bias, eps)

    return instance_norm


@torch.no_grad()
def _update(running_mean: Tensor, running_var: Tensor, x: Tensor, counts: Tensor, momentum: float) -> None:
    """An exponential average of the statistics of x (B, C, ...); left alone by a batch in which nothing counts."""
    flat = x.flatten(2)
    mean = flat.mean(2)
    centered = flat - mean[:, :, None]
    variance = (centered * centered).sum(2) / (flat.shape[2] - 1)
    count = counts.sum()
    share, rate = counts / torch.clamp(count, min=1e-12), momentum * (count > 0).to(x.dtype)
    running_mean.copy_(running_mean + rate * (share @ mean - running_mean))
    running_var.copy_(running_var + rate * (share @ variance - running_var))

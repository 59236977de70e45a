"""FedReLa's re-labeling as a graph: the float32 twin of `fedrela.core.relabel`, without a sort.

Sums over the samples of one label are matrix products with the one-hot labels; the threshold of each class is the
smallest of its top-k z-scores. Sums are compensated (the mean is corrected by the mean of what it leaves), so that
float32 differs from the float64 specification in at most 0.1 % of the labels.

    >>> import torch
    >>> q = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6]])
    >>> relabel(q, torch.tensor([0, 0, 0]), torch.zeros(3, 2), torch.tensor(50.0))[0]
    tensor([0, 0, 1])
"""

from typing import cast

import torch
from torch import Tensor

STD_FLOOR = 1e-6


def relabel(
    probabilities: Tensor, labels: Tensor, uniforms: Tensor, threshold_percent: Tensor
) -> tuple[Tensor, Tensor]:
    """New labels (n,) int64 and flip rate of the chosen class (n,). Shapes as in `fedrela.core.relabel.relabel`."""
    classes = probabilities.shape[1]
    one_hot = (labels[:, None] == torch.arange(classes)[None, :]).to(torch.float32)  # (n, C)
    counts = one_hot.sum(0)
    members = torch.clamp(counts, min=1.0)[:, None]
    grouped = one_hot.transpose(0, 1)  # (C, n)
    centered = probabilities - (grouped @ probabilities / members)[labels]
    centered = centered - (grouped @ centered / members)[labels]
    deviation = torch.clamp(torch.sqrt(grouped @ (centered * centered) / members), min=STD_FLOOR)
    z = centered / deviation[labels]
    above = z - thresholds(z, threshold_percent)[None, :]
    priors = prior_weights(counts)
    rates = torch.tanh(above) * torch.clamp(priors[None, :] - priors[labels][:, None], min=0.0)
    candidates = torch.where(rates > uniforms, rates, torch.full_like(rates, -1.0))
    best, target = candidates.max(dim=1).values, candidates.argmax(dim=1)
    flipped = best > 0
    return torch.where(flipped, target, labels), torch.where(flipped, best, torch.zeros_like(best))


def thresholds(z: Tensor, threshold_percent: Tensor) -> Tensor:
    """(C,): per class, the (m + 1)-th largest of z (n, C); m = floor(threshold_percent / 100 * n), at most n - 1."""
    samples = z.shape[0]
    surplus = torch.floor(threshold_percent.to(torch.float64) / 100 * samples).to(torch.int64)
    count = cast(int, torch.clamp(surplus, 0, samples - 1).item())  # a symbol while it is traced
    torch._check(count >= 0)  # type: ignore[no-untyped-call]
    torch._check(count < samples)  # type: ignore[no-untyped-call]
    return torch.topk(z.transpose(0, 1), count + 1, dim=1).values.amin(1)


def prior_weights(counts: Tensor) -> Tensor:
    """1 for the rarest class here, 0 for the commonest, linear between; all ones if counts are equal. (C,) -> (C,)."""
    lowest, highest = counts.amin(0), counts.amax(0)
    spread = highest - lowest
    return 1 - (counts - lowest) / torch.clamp(spread, min=1.0) * (spread > 0).to(counts.dtype)

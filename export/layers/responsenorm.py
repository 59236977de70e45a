"""Local response normalization across channels, as a sum of shifted slices.

Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks", NIPS 2012; torch pools in three
dimensions for it, which no runtime does here.

    >>> local_response_norm(torch.ones(1, 2, 1), size=2, alpha=2.0, beta=1.0, k=0.0)
    tensor([[[1.0000],
             [0.5000]]])
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x (B, C, ...) divided by (k + alpha * mean of the squares of `size` neighboring channels) ** beta."""
    channels = x.shape[1]
    padded = F.pad((x * x).flatten(2), (0, 0, size // 2, (size - 1) // 2))
    total = torch.stack([padded[:, first : first + channels] for first in range(size)]).sum(0)
    return x / (total.reshape(x.shape) * (alpha / size) + k) ** beta

"""Losses of the study's own: the oracle's balanced softmax, and FedLoGe's two heads.

`fedrela.study.losses:known_prior_10` is the loss for 10 classes; the counts are hyperparameters, count_0 to count_9, so
the exported program is the same for every setting.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True)
class KnownPrior:
    """Balanced softmax with the counts over all devices, Ren et al., NeurIPS 2020: as many settings as classes."""

    classes: int

    @property
    def hyperparameters(self) -> dict[str, float]:
        """The counts' names and defaults, in the order of the classes."""
        return {f"count_{label}": 1.0 for label in range(self.classes)}

    def __call__(self, logits: Tensor, y: Tensor, **counts: Tensor) -> Tensor:
        """Cross-entropy (B,) of logits (B, C) + log counts."""
        return cross_entropy(logits + torch.log(torch.stack(list(counts.values()))), y, reduction="none")


known_prior_10, known_prior_100 = KnownPrior(10), KnownPrior(100)


def two_heads(logits: Tensor, y: Tensor) -> Tensor:
    """logits (B, 2 C): cross-entropy (B,) of the first C plus that of the last C; see
    `fedrela.study.heads.SparseFrame`.
    """
    first, second = logits.chunk(2, dim=1)
    return cross_entropy(first, y, reduction="none") + cross_entropy(second, y, reduction="none")

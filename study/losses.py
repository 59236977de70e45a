"""Losses of the study's own: the oracle's balanced softmax, and FedLoGe's two heads. May import torch.

`fedrela.study.losses:known_prior_10` is the loss for 10 classes; the counts are hyperparameters, count_0 to count_9, so
the exported program is the same for every setting.
"""

import inspect
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def known_prior(logits: Tensor, y: Tensor, **counts: Tensor) -> Tensor:
    """Cross-entropy (B,) of logits (B, C) + log counts: Ren et al., NeurIPS 2020, with counts over all devices."""
    return cross_entropy(logits + torch.log(torch.stack(list(counts.values()))), y, reduction="none")


def two_heads(logits: Tensor, y: Tensor) -> Tensor:
    """logits (B, 2 C): cross-entropy (B,) of the first C plus that of the last C; see
    `fedrela.study.heads.SparseFrame`.
    """
    first, second = logits.chunk(2, dim=1)
    return cross_entropy(first, y, reduction="none") + cross_entropy(second, y, reduction="none")


def __getattr__(name: str) -> Callable[..., Tensor]:
    stem, _, classes = name.rpartition("_")
    if stem != "known_prior" or not classes.isdigit():
        raise AttributeError(f"module {__name__} has no {name!r}")
    kind = inspect.Parameter.KEYWORD_ONLY
    settings = [inspect.Parameter(f"count_{label}", kind, default=1.0) for label in range(int(classes))]
    given = list(inspect.signature(known_prior).parameters.values())[:2]
    loss = partial(known_prior)
    loss.__signature__ = inspect.Signature([*given, *settings])  # type: ignore[attr-defined]
    return loss

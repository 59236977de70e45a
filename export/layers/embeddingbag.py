"""Embeddings, and bags of them of one length: an embedding, and its sum, mean or maximum.

Their gradients are never divided by how often a row was looked up: the padding of a batch would count.

>>> embedding_bag(torch.tensor([[0, 1]]), torch.tensor([[1.0], [3.0]]))
tensor([[2.]])
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fedrela.core.errors import UnsupportedOperation

_FUNCTION, _OPERATOR = F.embedding, torch.embedding


def embedding(
    x: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """`F.embedding`. Raises UnsupportedOperation for scale_grad_by_freq."""
    _refuse_frequencies("embedding", scale_grad_by_freq)
    return _FUNCTION(x, weight, padding_idx, max_norm, norm_type, False, sparse)


def embedding_operator(
    weight: Tensor, indices: Tensor, padding_idx: Any = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """`torch.embedding`, likewise."""
    _refuse_frequencies("embedding", scale_grad_by_freq)
    return _OPERATOR(weight, indices, padding_idx, False, sparse)


def embedding_bag(
    x: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False,
    per_sample_weights: Tensor | None = None, include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """x (B, L) of rows of weight (V, D) -> (B, D). Raises UnsupportedOperation for bags of several lengths."""
    unknown: dict[str, Any] = {"offsets": offsets, "max_norm": max_norm}
    named = [name for name, value in unknown.items() if value is not None]
    _refuse_frequencies("embedding_bag", scale_grad_by_freq)
    if named or x.dim() != 2:
        raise UnsupportedOperation(
            f"embedding_bag with {', '.join(named) or f'{x.dim()} dimensions'}",
            remedy="give it bags of one length, (batch, length), without max_norm and offsets",
        )
    rows = F.embedding(x, weight)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, :, None]
    if padding_idx is not None:
        return _without(x == padding_idx % weight.shape[0], rows, mode)
    if mode == "max":
        return rows.amax(1)
    return rows.mean(1) if mode == "mean" else torch.sum(rows, 1)


def _without(padding: Tensor, rows: Tensor, mode: str) -> Tensor:
    """Of rows (B, L, D) those that aren't `padding` (B, L); zeros where all are."""
    kept = (~padding).to(rows.dtype)[:, :, None]
    if mode == "max":
        largest = rows.masked_fill(padding[:, :, None], float("-inf")).amax(1)
        return torch.where(kept.sum(1) > 0, largest, 0.0)
    total = torch.sum(rows * kept, 1)
    return total / torch.clamp(kept.sum(1), min=1) if mode == "mean" else total


def _refuse_frequencies(name: str, scale_grad_by_freq: bool) -> None:
    if scale_grad_by_freq:
        raise UnsupportedOperation(
            f"{name} with scale_grad_by_freq", remedy="leave scale_grad_by_freq out: a batch's padding would count"
        )

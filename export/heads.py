"""Classifier heads of fixed geometry, put in place of any model's last linear layer.

Under neural collapse the best class vectors of balanced data form a simplex equiangular tight frame (ETF): equal
lengths, equal angles (Papyan, Han and Donoho, PNAS 2020). Fixing them keeps head classes from pushing tail classes
together. The frame is drawn from a seed, so every device and the coordinator have the same; it ships inside the
program.

    >>> frame = simplex_frame(16, 4, seed=0)
    >>> (frame @ frame.T).round(decimals=3)
    tensor([[ 1.0000, -0.3330, -0.3330, -0.3330],
            [-0.3330,  1.0000, -0.3330, -0.3330],
            [-0.3330, -0.3330,  1.0000, -0.3330],
            [-0.3330, -0.3330, -0.3330,  1.0000]])
"""

import copy
import math

import torch
from torch import Tensor, nn

from fedrela.core.errors import InvalidInput


def with_fixed_etf(model: nn.Module, *, scale: float = 16.0, seed: int = 0) -> nn.Module:
    """A copy of `model` whose last linear layer is FedETF's head: Li et al., ICCV 2023. Raises InvalidInput."""
    copied, name, last = _last_linear(model)
    head = FixedETF(last.in_features, last.out_features, scale=scale, seed=seed)
    return _replace(copied, name, head)


def with_sparse_etf(model: nn.Module, *, sparsity: float = 0.6, seed: int = 0) -> nn.Module:
    """A copy of `model` with FedLoGe's static sparse ETF for its last linear layer: Xiao et al., ICLR 2024."""
    copied, name, last = _last_linear(model)
    return _replace(copied, name, SparseETF(last.in_features, last.out_features, sparsity=sparsity, seed=seed))


def simplex_frame(features: int, classes: int, seed: int) -> Tensor:
    """(classes, features): unit rows, each two at the cosine -1 / (classes - 1). Raises InvalidInput if it can't be."""
    if features < classes:
        raise InvalidInput(
            f"an equiangular frame of {classes} classes needs as many features, the layer has {features}",
            remedy="widen the layer before the head, or keep the linear head",
        )
    generator = torch.Generator().manual_seed(seed)
    # In float64, and each column's sign fixed, so that every machine rounds to the same float32 frame.
    basis, upper = torch.linalg.qr(torch.randn(features, classes, generator=generator, dtype=torch.float64))
    basis = basis * torch.sign(torch.diagonal(upper))
    centered = torch.eye(classes, dtype=torch.float64) - 1 / classes
    frame: Tensor = (math.sqrt(classes / (classes - 1)) * (basis @ centered).T).to(torch.float32)
    return frame


class FixedETF(nn.Module):
    """A trained projection, normalized, against a fixed frame, times a trained temperature."""

    frame: Tensor

    def __init__(self, features: int, classes: int, *, scale: float, seed: int) -> None:
        super().__init__()
        self.projection = nn.Linear(features, features)
        self.temperature = nn.Parameter(torch.tensor([scale]))
        self.register_buffer("frame", simplex_frame(features, classes, seed))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, features) -> logits (B, classes)."""
        projected = self.projection(x)
        length = torch.sqrt((projected * projected).sum(1, keepdim=True) + 1e-12)
        logits: Tensor = self.temperature * (projected / length) @ self.frame.T
        return logits


class SparseETF(nn.Module):
    """A fixed frame with a share `sparsity` of zeros, its rows brought back to length 1: nothing here is trained."""

    frame: Tensor

    def __init__(self, features: int, classes: int, *, sparsity: float, seed: int) -> None:
        super().__init__()
        if not 0 <= sparsity < 1:
            raise InvalidInput(f"the sparsity is {sparsity}", remedy="choose a share from 0 up to below 1")
        frame = simplex_frame(features, classes, seed)
        generator = torch.Generator().manual_seed(seed + 1)
        ranks = torch.rand(frame.shape, generator=generator).argsort(1).argsort(1)
        sparse = frame * (ranks >= math.floor(sparsity * features))
        self.register_buffer("frame", sparse / sparse.norm(dim=1, keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, features) -> logits (B, classes)."""
        return x @ self.frame.T


def _last_linear(model: nn.Module) -> tuple[nn.Module, str, nn.Linear]:
    copied = copy.deepcopy(model)
    linear_layers = [(name, module) for name, module in copied.named_modules() if isinstance(module, nn.Linear)]
    if not linear_layers:
        raise InvalidInput("the model has no linear layer", remedy="end it in a torch.nn.Linear(features, classes)")
    return copied, *linear_layers[-1]


def _replace(model: nn.Module, name: str, head: nn.Module) -> nn.Module:
    if not name:
        return head
    parent, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(parent), attribute, head)
    return model

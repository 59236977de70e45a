"""Tiny classifiers around a layer, through which gradients flow into it and out of it; and what models do with layers.

>>> images(nn.ReLU())()(torch.zeros(2, 2, 9, 7)).shape
torch.Size([2, 3])
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

CLASSES = 3


class Lambda(nn.Module):
    """A function as a layer, possibly around other layers."""

    def __init__(self, function: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        """function(x, *layers)."""
        return self._function(x, *self.layers)


def images(*layers: nn.Module, channels: int = 4) -> Callable[[], nn.Module]:
    """Around layers on feature maps (B, channels, 9, 7)."""

    def build() -> nn.Module:
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(CLASSES)]
        model = nn.Sequential(nn.Conv2d(2, channels, 3, padding=1), *layers, *head)
        return _materialised(model, (2, 2, 9, 7))

    return build


def signals(*layers: nn.Module, channels: int = 4) -> Callable[[], nn.Module]:
    """Around layers on signals (B, channels, 11)."""

    def build() -> nn.Module:
        model = nn.Sequential(nn.Conv1d(2, channels, 3, padding=1), *layers, nn.Flatten(), nn.LazyLinear(CLASSES))
        return _materialised(model, (2, 2, 11))

    return build


def vectors(*layers: nn.Module, width: int = 8) -> Callable[[], nn.Module]:
    """Around layers on vectors (B, width)."""

    def build() -> nn.Module:
        return _materialised(nn.Sequential(nn.Linear(5, width), *layers, nn.LazyLinear(CLASSES)), (2, 5))

    return build


def sequences(*layers: nn.Module, width: int = 8) -> Callable[[], nn.Module]:
    """Around layers on sequences (B, 6, width)."""

    def build() -> nn.Module:
        mean = Lambda(lambda x: x.mean(1))
        return _materialised(nn.Sequential(nn.Linear(5, width), *layers, mean, nn.LazyLinear(CLASSES)), (2, 6, 5))

    return build


def volumes(*layers: nn.Module, channels: int = 4) -> Callable[[], nn.Module]:
    """Around layers on volumes (B, channels, 6, 9, 7)."""

    def build() -> nn.Module:
        head = [nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.LazyLinear(CLASSES)]
        return _materialised(nn.Sequential(nn.Conv3d(2, channels, 3, padding=1), *layers, *head), (2, 2, 6, 9, 7))

    return build


def _materialised(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    with torch.no_grad():
        model.eval()(torch.zeros(shape))
    return model.train()


def attention(x: Tensor, layer: nn.Module) -> Tensor:
    attended: Tensor = layer(x, x, x, need_weights=False)[0]
    return x + attended


def first(x: Tensor, layer: nn.Module) -> Tensor:
    states: Tensor = layer(x)[0]
    return states


def scaled_dot_product(x: Tensor) -> Tensor:
    heads = x.reshape(x.shape[0], 6, 2, 4).transpose(1, 2)
    mixed = nn.functional.scaled_dot_product_attention(heads, heads * 0.5, heads + 1, is_causal=True)
    return mixed.transpose(1, 2).reshape(x.shape)


def squeeze_and_excite(x: Tensor, down: nn.Module, up: nn.Module) -> Tensor:
    gate: Tensor = torch.sigmoid(up(torch.relu(down(x.mean((2, 3))))))
    return x * gate[:, :, None, None]


def tokens() -> nn.Module:
    mean = Lambda(lambda x: x.mean(1))
    return nn.Sequential(nn.Embedding(20, 8, padding_idx=0), mean, nn.Linear(8, CLASSES))


def bags() -> nn.Module:
    return nn.Sequential(nn.EmbeddingBag(20, 8, padding_idx=0), nn.Tanh(), nn.Linear(8, CLASSES))


def first_expert(x: Tensor, gate: nn.Module) -> Tensor:
    """A mixture whose weights are those of the best two of four, the others' 0."""
    best, which = torch.softmax(gate(x), 1).topk(2, 1)
    weights = torch.zeros(x.shape[0], 4).scatter(1, which, best)
    return x * weights.repeat(1, 2)


def in_order(x: Tensor) -> Tensor:
    """Sparsemax: Martins and Astudillo, ICML 2016."""
    ordered = torch.sort(x, dim=1, descending=True).values
    total = ordered.cumsum(1)
    counted = (1 + torch.arange(1, 9) * ordered > total).sum(1, keepdim=True)
    threshold = (total.gather(1, counted - 1) - 1) / counted
    return torch.clamp(x - threshold, min=0)


def sampled(x: Tensor, where: nn.Module) -> Tensor:
    theta = where(x.mean((2, 3))).reshape(-1, 2, 3) * 0.3 + torch.eye(2, 3)
    grid = nn.functional.affine_grid(theta, list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, align_corners=False)


def windows(x: Tensor, layer: nn.Module) -> Tensor:
    """Attention inside two windows of three places each, one of them masked, as Swin has it."""
    windows: Tensor = layer(x).reshape(-1, 3, 2, 4).transpose(1, 2)
    scores = (windows @ windows.transpose(2, 3)).reshape(-1, 2, 2, 3, 3)
    scores = scores + torch.stack([torch.zeros(3, 3), torch.eye(3) * -9])[None, :, None]
    mixed = torch.softmax(scores.reshape(-1, 2, 3, 3), 3) @ windows
    return mixed.transpose(1, 2).reshape(x.shape)

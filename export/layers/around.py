"""Tiny classifiers around a layer, through which gradients flow into the layer and out of it.

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

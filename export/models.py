"""Reference classifiers, each a `module:build` for `fedrela export`. May import torch.

>>> sum(p.numel() for p in small_cnn().parameters())
22762
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def small_cnn(
    channels: int = 1, size: int = 8, classes: int = 10, widths: tuple[int, ...] = (16, 32), hidden: int = 128
) -> nn.Module:
    """3x3 convolutions, each with ReLU and 2x2 max pooling, then two linear layers. x (B, channels, size, size)."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, size = width, size // 2
    layers += [nn.Flatten(), nn.Linear(channels * size * size, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers)


def build() -> nn.Module:
    """The default: `small_cnn` for 1x8x8 images and 10 classes."""
    return small_cnn()

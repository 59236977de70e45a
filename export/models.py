"""Reference classifiers: `fedrela export fedrela.export.models:small_cnn --input uint8:1x8x8 --classes 10 ...`.

Sizes are arguments, so that tests and phones can have small ones; the defaults are those of the papers, unless a
docstring says otherwise.

    >>> sum(p.numel() for p in small_cnn().parameters())
    22602
"""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

Layers = list[nn.Module]


def small_cnn(
    channels: int = 1, size: int = 8, classes: int = 10, widths: Sequence[int] = (16, 32), hidden: int = 128
) -> nn.Module:
    """3x3 convolutions, each with ReLU and 2x2 max pooling, then two linear layers. x (B, channels, size, size)."""
    layers: Layers = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, size = width, size // 2
    layers += [nn.Flatten(), nn.Linear(channels * size * size, hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers)


def cifar_cnn(classes: int = 10) -> nn.Module:
    """`small_cnn` for 3x32x32 images: 16, 32 and 64 channels, then 1024 -> 128 -> classes."""
    return small_cnn(3, 32, classes, (16, 32, 64))


def build() -> nn.Module:
    """`small_cnn` for 1x8x8 images of ten digits."""
    return small_cnn()


def _norm(kind: str, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.GroupNorm(min(8, channels // 2), channels)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: He et al., "Deep Residual Learning", CVPR 2016."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = _norm(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = _norm(norm, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), _norm(norm, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """A residual net for small images: no pooling at the start. x (B, channels, H, W)."""

    def __init__(self, channels: int, classes: int, widths: Sequence[int], blocks: int, norm: str) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, padding=1, bias=False), _norm(norm, widths[0]), nn.ReLU()
        )
        layers: Layers = []
        inputs = widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                layers.append(BasicBlock(inputs, width, 2 if stage and not block else 1, norm))
                inputs = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        logits: Tensor = self.head(self.body(self.stem(x)).mean((2, 3)))
        return logits


def resnet8(
    channels: int = 3, classes: int = 10, norm: str = "group", widths: Sequence[int] = (16, 32, 64)
) -> nn.Module:
    """One block per stage."""
    return ResNet(channels, classes, widths, 1, norm)


resnet8_batch_norm = partial(resnet8, norm="batch")


def resnet18(
    channels: int = 3, classes: int = 10, norm: str = "batch", widths: Sequence[int] = (64, 128, 256, 512)
) -> nn.Module:
    """Two blocks per stage; the form for 32x32 images that federated learning papers use."""
    return ResNet(channels, classes, widths, 2, norm)


resnet18_group_norm = partial(resnet18, norm="group")


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1: Sandler et al., "MobileNetV2", CVPR 2018."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.body = nn.Sequential(
            nn.Conv2d(inputs, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        changed: Tensor = self.body(x)
        return x + changed if self.residual else changed


def mobilenet(
    channels: int = 3, classes: int = 10, widths: Sequence[int] = (16, 24, 32, 64), expansion: int = 4
) -> nn.Module:
    """A small MobileNetV2 for 32x32 images."""
    layers: Layers = [nn.Conv2d(channels, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU6()]
    for stage, (inputs, outputs) in enumerate(pairwise(widths)):
        layers += [
            InvertedResidual(inputs, outputs, 2 if stage else 1, expansion),
            InvertedResidual(outputs, outputs, 1, expansion),
        ]
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(widths[-1], classes)
    )


class VisionTransformer(nn.Module):
    """Dosovitskiy et al., "An Image Is Worth 16x16 Words", ICLR 2021, with mean pooling. x (B, channels, S, S)."""

    def __init__(
        self, channels: int, size: int, classes: int, patch: int, width: int, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.position = nn.Parameter(torch.randn(1, (size // patch) ** 2, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        tokens = self.patches(x).flatten(2).transpose(1, 2) + self.position
        logits: Tensor = self.head(self.norm(self.encoder(tokens)).mean(1))
        return logits


def small_vit(
    channels: int = 3,
    size: int = 32,
    classes: int = 10,
    patch: int = 4,
    width: int = 64,
    depth: int = 4,
    heads: int = 4,
    dropout: float = 0.1,
) -> nn.Module:
    """A vision transformer of about 140 000 parameters."""
    return VisionTransformer(channels, size, classes, patch, width, depth, heads, dropout)


class SequenceClassifier(nn.Module):
    """Embedding, LSTM, linear on the last state. x (B, length) int64."""

    def __init__(self, tokens: int, classes: int, width: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, width)
        self.lstm = nn.LSTM(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes)."""
        states, _ = self.lstm(self.embedding(x))
        logits: Tensor = self.head(states[:, -1])
        return logits


def lstm(tokens: int = 1000, classes: int = 4, width: int = 32, layers: int = 1) -> nn.Module:
    """For sequences of tokens: --input int64:20:1000."""
    return SequenceClassifier(tokens, classes, width, layers)


def tabular_mlp(columns: int = 20, classes: int = 5, hidden: int = 64) -> nn.Module:
    """For rows of numbers: --input float32:20."""
    return nn.Sequential(
        nn.Linear(columns, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )

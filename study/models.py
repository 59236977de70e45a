"""The study's classifiers, each a `module:build` for `fedrela export`.

`digits_cnn_etf` and the like have another last layer: see `fedrela.study.heads`.

>>> sum(p.numel() for p in cifar_cnn().parameters())
156074
"""

import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from fedrela.study import heads


def digits_cnn() -> nn.Sequential:
    """1x8x8 images, 10 classes: two 3x3 convolutions (16 and 32 channels), then 128 -> 128 -> 10."""
    return _cnn(1, 8, (16, 32))


def mnist_cnn() -> nn.Sequential:
    """1x28x28 images, 10 classes."""
    return _cnn(1, 28, (16, 32))


def cifar_cnn() -> nn.Sequential:
    """3x32x32 images, 10 classes: three 3x3 convolutions (16, 32, 64 channels), then 1024 -> 128 -> 10."""
    return _cnn(3, 32, (16, 32, 64))


def wisdm_mlp() -> nn.Sequential:
    """43 numbers of very different sizes, 6 activities: batch normalization, then 43 -> 64 -> 64 -> 6."""
    return _perceptron(43, 64, 6)


def heart_severity_mlp() -> nn.Sequential:
    """13 numbers and 10 marks of missing ones, severity 0 to 4: batch normalization, then 23 -> 16 -> 16 -> 5."""
    return _perceptron(23, 16, 5)


def heart_disease_mlp() -> nn.Sequential:
    """The same for disease, yes or no: 23 -> 16 -> 16 -> 2."""
    return _perceptron(23, 16, 2)


def caravan_mlp() -> nn.Sequential:
    """84 numbers of a customer, insured or not: batch normalization, then 84 -> 32 -> 32 -> 2."""
    return _perceptron(84, 32, 2)


def cifar_resnet8() -> nn.Sequential:
    """3x32x32 images, 10 classes: a stem and three residual blocks (16, 32, 64 channels), batch normalization."""
    return _resnet8(nn.BatchNorm2d)


def cifar_resnet8_groups() -> nn.Sequential:
    """The same with group normalization, eight channels a group, which has no statistics for a server to average."""
    return _resnet8(lambda channels: nn.GroupNorm(channels // 8, channels))


def cifar_resnet18() -> nn.Sequential:
    """3x32x32 images, 10 classes: ResNet-18 with a stem for small pictures, 3x3 and unpooled; 11.2 million weights."""
    widths = (64, 64, 128, 256, 512)
    blocks = [
        ResidualBlock(inputs if first else outputs, outputs, 2 if first and outputs > 64 else 1, normalized=True)
        for inputs, outputs in itertools.pairwise(widths)
        for first in (True, False)
    ]
    stem = [nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: He et al., CVPR 2016; `normalized`: where it is a convolution, that too."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        *,
        normalized: bool = False,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            norm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            norm(outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
        if normalized and not same:
            self.shortcut = nn.Sequential(self.shortcut, norm(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h / stride, w / stride)."""
        return torch.relu(self.body(x) + self.shortcut(x))


def _resnet8(norm: Callable[[int], nn.Module]) -> nn.Sequential:
    blocks = [
        ResidualBlock(16, 16, 1, norm=norm),
        ResidualBlock(16, 32, 2, norm=norm),
        ResidualBlock(32, 64, 2, norm=norm),
    ]
    stem = [nn.Conv2d(3, 16, 3, padding=1, bias=False), norm(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _cnn(channels: int, size: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels, size = width, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * size * size, 128), nn.ReLU(), nn.Linear(128, 10))


def _perceptron(inputs: int, width: int, classes: int) -> nn.Sequential:
    layers = [nn.BatchNorm1d(inputs), nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, classes))


def _with_head(build: Callable[[], nn.Sequential], head: str) -> Callable[[], nn.Module]:
    return lambda: heads.HEADS[head](build())


digits_cnn_etf, digits_cnn_fedloge = _with_head(digits_cnn, "etf"), _with_head(digits_cnn, "fedloge")
mnist_cnn_etf, mnist_cnn_fedloge = _with_head(mnist_cnn, "etf"), _with_head(mnist_cnn, "fedloge")
cifar_cnn_etf, cifar_cnn_fedloge = _with_head(cifar_cnn, "etf"), _with_head(cifar_cnn, "fedloge")
cifar_resnet8_etf, cifar_resnet8_fedloge = _with_head(cifar_resnet8, "etf"), _with_head(cifar_resnet8, "fedloge")

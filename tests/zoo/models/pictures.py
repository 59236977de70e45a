"""Classifiers of pictures from pytorchcv and efficientnet-pytorch."""

from functools import partial

from torch import nn

from tests.zoo.entries import CLASSES, Entry


def _pytorchcv(name: str, size: int, classes: int) -> nn.Module:
    from pytorchcv.model_provider import get_model

    net: nn.Module = get_model(name, pretrained=False, num_classes=classes, in_size=(size, size))
    return net


def _cv(name: str, size: int = 32, classes: int = 10) -> Entry:
    build = partial(_pytorchcv, name, size, classes)
    return Entry(name, "pytorchcv", "image", build, f"uint8:3x{size}x{size}", classes)


def _efficientnet() -> nn.Module:
    from efficientnet_pytorch import EfficientNet

    net: nn.Module = EfficientNet.from_name("efficientnet-b0", num_classes=CLASSES, image_size=64)
    return net


ENTRIES = (
    Entry("efficientnet-b0", "efficientnet-pytorch", "image", _efficientnet, "uint8:3x64x64"),
    _cv("resnet20_cifar10"),
    _cv("mobilenet_wd4", 224, CLASSES),
    _cv("seresnet20_cifar10"),
    _cv("shakeshakeresnet20_2x16d_cifar10"),
    _cv("nin_cifar10"),
    _cv("preresnet20_cifar10"),
    _cv("diaresnet20_cifar10"),
)

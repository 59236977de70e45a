"""torchvision's classifiers, at the widths and resolutions that a phone trains."""

from functools import partial
from typing import Any

from torch import nn

from tests.zoo.entries import CLASSES, Entry


def _named(name: str, **options: Any) -> nn.Module:
    from torchvision import models

    net: nn.Module = getattr(models, name)(weights=None, num_classes=CLASSES, **options)
    return net


def _convnext() -> nn.Module:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    blocks = [CNBlockConfig(16, 32, 1), CNBlockConfig(32, 64, 1), CNBlockConfig(64, None, 2)]
    return ConvNeXt(blocks, stochastic_depth_prob=0.1, num_classes=CLASSES)


def _densenet() -> nn.Module:
    from torchvision.models import DenseNet

    return DenseNet(growth_rate=8, block_config=(3, 3, 3), num_init_features=16, drop_rate=0.1, num_classes=CLASSES)


def _resnext() -> nn.Module:
    from torchvision.models.resnet import Bottleneck, ResNet

    return ResNet(Bottleneck, [1, 1, 1, 1], groups=8, width_per_group=4, num_classes=CLASSES)


def _swin(version: int) -> nn.Module:
    from torchvision.models import swin_transformer as swin

    block = {1: swin.SwinTransformerBlock, 2: swin.SwinTransformerBlockV2}[version]
    merging = {1: swin.PatchMerging, 2: swin.PatchMergingV2}[version]
    return swin.SwinTransformer(
        [4, 4], 24, [2, 2], [2, 4], [4, 4], stochastic_depth_prob=0.1, num_classes=CLASSES, block=block,
        downsample_layer=merging,
    )  # fmt: skip


def _vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(32, 8, 2, 2, 32, 64, dropout=0.1, num_classes=CLASSES)


def _maxvit() -> nn.Module:
    from torchvision.models import MaxVit

    return MaxVit(
        (64, 64), 16, 4, [16, 32], [1, 1], 8, 0.1, num_classes=CLASSES
    )  # fmt: skip


def _image(name: str, build: Any, size: int = 32) -> Entry:
    return Entry(name, "torchvision", "image", build, f"uint8:3x{size}x{size}")


ENTRIES = (
    _image("resnet18", partial(_named, "resnet18")),
    _image("mobilenet_v2", partial(_named, "mobilenet_v2", width_mult=0.5)),
    _image("mobilenet_v3_small", partial(_named, "mobilenet_v3_small"), 64),
    _image("efficientnet_b0", partial(_named, "efficientnet_b0")),
    _image("squeezenet1_1", partial(_named, "squeezenet1_1"), 64),
    _image("shufflenet_v2_x0_5", partial(_named, "shufflenet_v2_x0_5")),
    _image("vision transformer", _vit),
    _image("convnext", _convnext),
    _image("swin", partial(_swin, 1)),
    _image("densenet", _densenet),
    _image("mnasnet0_5", partial(_named, "mnasnet0_5")),
    _image("regnet_y_400mf", partial(_named, "regnet_y_400mf")),
    _image("resnext", _resnext),
    _image("swin v2", partial(_swin, 2)),
    _image("googlenet, auxiliary outputs", partial(_named, "googlenet", aux_logits=True, init_weights=False), 64),
    _image("maxvit", _maxvit, 64),
)

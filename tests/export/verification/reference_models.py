"""Narrow forms of the reference classifiers: as many layers as the full ones, but for the transformer's depth."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import nn

from fedrela.export import models


@dataclass(frozen=True)
class Model:
    """A row: how to build it and what it takes. `deep`: lowering its graph takes minutes, however narrow it is."""

    build: Callable[[], nn.Module]
    input: str
    classes: int = 10
    deep: bool = False


# Pictures of 32 x 32: of smaller ones, the last maps have so few values that the gradients through their statistics are
# rounding noise in float32.
NARROW = (4, 4, 8, 8)
MODELS = {
    "Small CNN": Model(partial(models.small_cnn, widths=(4, 8), hidden=16), "uint8:1x8x8"),
    "ResNet-8 (GroupNorm)": Model(partial(models.resnet8, widths=(4, 4, 8)), "uint8:3x8x8", deep=True),
    "ResNet-8 (BatchNorm)": Model(partial(models.resnet8_batch_norm, widths=(4, 4, 8)), "uint8:3x8x8", deep=True),
    "ResNet-18 (BatchNorm)": Model(partial(models.resnet18, widths=(8, 8, 16, 16)), "uint8:3x32x32", deep=True),
    "ResNet-18 (GroupNorm)": Model(partial(models.resnet18_group_norm, widths=NARROW), "uint8:3x32x32", deep=True),
    "MobileNetV2 (small)": Model(partial(models.mobilenet, widths=NARROW, expansion=2), "uint8:3x32x32", deep=True),
    "Vision transformer (small)": Model(
        partial(models.small_vit, size=8, width=8, depth=2, heads=2), "uint8:3x8x8", deep=True
    ),
    "LSTM over tokens": Model(partial(models.lstm, tokens=20, width=6), "int64:5:20", 4),
    "Tabular MLP": Model(partial(models.tabular_mlp, hidden=16), "float32:20", 5),
}

"""The catalog of layers that an export supports, each a tiny classifier around it.

The tests train every row on every runtime against eager PyTorch, and docs/layers.md is written from what they measure.

    >>> [case.name for case in CASES if case.name.startswith("Linear")]
    ['Linear']
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from fedrela.export.inputs import parse
from fedrela.export.layers import around
from fedrela.export.layers.around import CLASSES
from fedrela.export.recipe import Recipe
from fedrela.export.verification.comparison import training_errors


@dataclass(frozen=True)
class Case:
    """One row: a layer and the model that `build` puts around it, so that gradients flow into and through the layer."""

    name: str
    input: str
    build: Callable[[], nn.Module]


def check(case: Case, runtime: str) -> dict[str, float]:
    """Relative errors of three training steps against eager PyTorch. Raises what an export raises."""
    torch.manual_seed(1)
    recipe = Recipe(inputs=(parse(case.input),), classes=CLASSES)
    return training_errors(case.build(), recipe, runtime)


_IMAGE, _VOLUME, _SIGNAL = "float32:2x9x7", "float32:2x6x9x7", "float32:2x11"
_VECTOR, _SEQUENCE = "float32:5", "float32:6x5"
_POOLED = ((nn.MaxPool2d(2), "MaxPool2d"), (nn.MaxPool2d(3, 2, 1), "MaxPool2d, overlapping, padded"))
_ACTIVATIONS = (
    ("ReLU, ReLU6", nn.Sequential(nn.ReLU(), nn.Linear(8, 8), nn.ReLU6())),
    ("LeakyReLU, PReLU", nn.Sequential(nn.LeakyReLU(0.2), nn.Linear(8, 8), nn.PReLU())),
    ("ELU, SELU", nn.Sequential(nn.ELU(), nn.Linear(8, 8), nn.SELU())),
    ("GELU (exact and tanh)", nn.Sequential(nn.GELU(), nn.Linear(8, 8), nn.GELU(approximate="tanh"))),
    ("SiLU, Mish", nn.Sequential(nn.SiLU(), nn.Linear(8, 8), nn.Mish())),
    ("Hardswish, Hardsigmoid", nn.Sequential(nn.Hardswish(), nn.Linear(8, 8), nn.Hardsigmoid())),
    ("Sigmoid, Tanh", nn.Sequential(nn.Sigmoid(), nn.Linear(8, 8), nn.Tanh())),
    ("Softplus, Softmax", nn.Sequential(nn.Softplus(), nn.Linear(8, 8), nn.Softmax(dim=1))),
)

CASES: tuple[Case, ...] = (
    Case("Linear", _VECTOR, around.vectors(nn.Linear(8, 6), nn.Linear(6, 8, bias=False))),
    Case(
        "Conv1d (strided, padded, dilated)",
        _SIGNAL,
        around.signals(nn.Conv1d(4, 6, 3, 2, 1), nn.ReLU(), nn.Conv1d(6, 4, 2, dilation=2)),
    ),
    Case(
        "Conv2d (1x1, strided, padded)", _IMAGE, around.images(nn.Conv2d(4, 6, 1), nn.ReLU(), nn.Conv2d(6, 5, 3, 2, 1))
    ),
    Case(
        "Conv2d (dilated, even kernel)",
        _IMAGE,
        around.images(nn.Conv2d(4, 6, 3, padding=2, dilation=2), nn.Conv2d(6, 4, (2, 4), (1, 2))),
    ),
    Case(
        "Conv2d (padding='same', 'reflect')",
        _IMAGE,
        around.images(nn.Conv2d(4, 4, 3, padding="same"), nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")),
    ),
    Case(
        "Conv2d (grouped)",
        _IMAGE,
        around.images(nn.Conv2d(4, 6, 3, 2, 1, groups=2), nn.ReLU(), nn.Conv2d(6, 6, 1, groups=3)),
    ),
    Case(
        "Conv2d (depthwise)",
        _IMAGE,
        around.images(nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, groups=4)),
    ),
    Case(
        "ConvTranspose2d",
        _IMAGE,
        around.images(nn.ConvTranspose2d(4, 3, 3, 2, 1, output_padding=1), nn.ReLU(), nn.ConvTranspose2d(3, 4, 2)),
    ),
    *(Case(name, _IMAGE, around.images(nn.ReLU(), pool, nn.Conv2d(4, 4, 1))) for pool, name in _POOLED),
    Case(
        "MaxPool2d (ceil mode, dilated)",
        _IMAGE,
        around.images(nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(4, 4, 1), nn.MaxPool2d(2, 1, dilation=2)),
    ),
    Case(
        "AvgPool2d",
        _IMAGE,
        around.images(nn.AvgPool2d(2), nn.Conv2d(4, 4, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False)),
    ),
    Case("MaxPool1d, AvgPool1d", _SIGNAL, around.signals(nn.MaxPool1d(2), nn.Conv1d(4, 4, 1), nn.AvgPool1d(2))),
    Case(
        "AdaptiveAvgPool2d, AdaptiveMaxPool2d",
        _IMAGE,
        around.images(nn.AdaptiveAvgPool2d((4, 3)), nn.Conv2d(4, 4, 1), nn.AdaptiveMaxPool2d(2)),
    ),
    Case("BatchNorm1d", _VECTOR, around.vectors(nn.BatchNorm1d(8), nn.Tanh())),
    Case(
        "BatchNorm2d",
        _IMAGE,
        around.images(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, affine=False), nn.Tanh()),
    ),
    Case("GroupNorm", _IMAGE, around.images(nn.GroupNorm(2, 4), nn.ReLU())),
    Case("LayerNorm, RMSNorm", _SEQUENCE, around.sequences(nn.LayerNorm(8), nn.Linear(8, 8), nn.RMSNorm(8), nn.Tanh())),
    Case("InstanceNorm2d", _IMAGE, around.images(nn.InstanceNorm2d(4, affine=True), nn.ReLU())),
    Case(
        "InstanceNorm2d (running statistics, larger images)",
        "float32:2x28x28",
        around.images(nn.InstanceNorm2d(4, affine=True, track_running_stats=True), nn.GELU()),
    ),
    Case("weight_norm", _SIGNAL, around.signals(weight_norm(nn.Conv1d(4, 4, 3)), nn.ReLU())),
    Case(
        "AlphaDropout, FeatureAlphaDropout",
        _SIGNAL,
        around.signals(nn.SELU(), nn.AlphaDropout(0.2), nn.FeatureAlphaDropout(0.3)),
    ),
    Case(
        "Dropout, Dropout2d", _IMAGE, around.images(nn.Dropout2d(0.4), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Dropout(0.3))
    ),
    *(Case(name, _VECTOR, around.vectors(layer)) for name, layer in _ACTIVATIONS),
    Case("Embedding", "int64:6:20", around.tokens),
    Case(
        "LSTM (bidirectional)",
        _SEQUENCE,
        around.sequences(around.Lambda(around.first, nn.LSTM(8, 5, bidirectional=True, batch_first=True))),
    ),
    Case("GRU", _SEQUENCE, around.sequences(around.Lambda(around.first, nn.GRU(8, 5, batch_first=True)))),
    Case(
        "LSTM (two layers with dropout)",
        _SEQUENCE,
        around.sequences(around.Lambda(around.first, nn.LSTM(8, 5, 2, dropout=0.3, batch_first=True))),
    ),
    Case(
        "MultiheadAttention (with dropout)",
        _SEQUENCE,
        around.sequences(around.Lambda(around.attention, nn.MultiheadAttention(8, 2, dropout=0.2, batch_first=True))),
    ),
    Case(
        "TransformerEncoderLayer",
        _SEQUENCE,
        around.sequences(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)),
    ),
    Case("scaled_dot_product_attention", _SEQUENCE, around.sequences(around.Lambda(around.scaled_dot_product))),
    Case(
        "Upsample (nearest, bilinear)",
        _IMAGE,
        around.images(
            nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3), nn.Upsample((11, 9), mode="bilinear"), nn.Tanh()
        ),
    ),
    Case(
        "pad, concat",
        _IMAGE,
        around.images(
            around.Lambda(
                lambda x: torch.cat([nn.functional.pad(x, (1, 0, 2, -1)), nn.functional.pad(x * x, (0, 1, 1, 0))], 1)
            ),
            nn.Tanh(),
        ),
    ),
    Case(
        "residual",
        _IMAGE,
        around.images(around.Lambda(lambda x, layer: torch.relu(x + layer(x)), nn.Conv2d(4, 4, 3, padding=1))),
    ),
    Case(
        "squeeze and excitation",
        _IMAGE,
        around.images(around.Lambda(around.squeeze_and_excite, nn.Linear(4, 2), nn.Linear(2, 4))),
    ),
    Case(
        "Conv3d, MaxPool3d, AvgPool3d",
        _VOLUME,
        around.volumes(nn.MaxPool3d(2), nn.ReLU(), nn.Conv3d(4, 5, (1, 3, 3), (1, 2, 1), 1), nn.AvgPool3d(2, 1)),
    ),
    Case(
        "MaxPool3d, AvgPool3d, overlapping, padded",
        _VOLUME,
        around.volumes(nn.MaxPool3d(3, 2, 1), nn.Conv3d(4, 4, 1), nn.AvgPool3d(3, 1, 1, count_include_pad=False)),
    ),
    Case(
        "affine_grid, grid_sample",
        _IMAGE,
        around.images(around.Lambda(around.sampled, nn.Linear(4, 6)), nn.Tanh()),
    ),
    Case("EmbeddingBag", "int64:6:20", around.bags),
    Case("LocalResponseNorm", _IMAGE, around.images(nn.LocalResponseNorm(3, alpha=0.1), nn.Tanh())),
    Case("Bilinear", _VECTOR, around.vectors(around.Lambda(lambda x, layer: layer(x, x), nn.Bilinear(8, 8, 6)))),
    Case("sort, cumsum (sparsemax)", _VECTOR, around.vectors(around.Lambda(around.in_order), nn.Linear(8, 8))),
    Case(
        "topk, scatter (mixture of experts)",
        _VECTOR,
        around.vectors(around.Lambda(around.first_expert, nn.Linear(8, 4))),
    ),
    Case(
        "attention in windows (masked)",
        _SEQUENCE,
        around.sequences(around.Lambda(around.windows, nn.Linear(8, 8))),
    ),
)

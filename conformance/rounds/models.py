"""Small models whose client rounds ask for what `rounds/` doesn't, each with a device's data and its tasks.

Data come from streams: a class shifts every value, so that a warmed model knows something and re-labeling has
something to say. Low classes are many, high ones few.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fedrela.conformance.rounds import ONE_DEVICE
from fedrela.core import streams
from fedrela.core.task import LocalTraining, Relabel, Task
from fedrela.core.tensors import Array
from fedrela.edge.training.examples import Examples

MAX_BATCH = 16
DEVICE_ROWS, WARMING_ROWS = 49, 400  # 49: the last batch of an epoch holds one sample


@dataclass(frozen=True)
class Model:
    """A model, how it is exported, what its examples look like, and its client rounds: name -> (task, round)."""

    build: Callable[[], nn.Module]
    input: str | tuple[str, ...]
    classes: int
    x: Callable[[Array, int], dict[str, Array]]  # (labels, seed) -> inputs by name, one row for each label
    tasks: Mapping[str, tuple[Task, int]]
    local: LocalTraining  # while the weights are warmed up
    runtimes: tuple[str, ...] = ("onnx",)
    needs: str = ""  # what a client may lack; it is `not-eligible` then
    options: Mapping[str, Any] = field(default_factory=dict)  # of the export

    def examples(self, count: int, seed: int) -> Examples:
        """`count` labeled samples."""
        labels = np.floor(np.square(_u(seed, "labels", (count,))) * self.classes).astype(np.int64)
        return Examples(self.x(labels, seed), labels)


class Tokens(nn.Module):
    """The mean of embedded tokens, dropout, linear. tokens (B, 5) int64."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.dropout, self.head = nn.Embedding(30, 6), nn.Dropout(0.2), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, 4)."""
        logits: Tensor = self.head(self.dropout(self.embedding(x).mean(1)))
        return logits


class PixelsAndNumbers(nn.Module):
    """A convolution over pixels (B, 1, 4, 4) beside a linear layer over measured numbers (B, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.rest, self.head = nn.Conv2d(1, 3, 3), nn.Linear(3, 4), nn.Linear(16, 3)

    def forward(self, pixels: Tensor, measured: Tensor) -> Tensor:
        """Logits (B, 3)."""
        joined = torch.cat([self.conv(pixels).flatten(1), self.rest(measured)], 1)
        logits: Tensor = self.head(torch.relu(joined))
        return logits


def _batch_norm_net() -> nn.Module:
    """No bias before BatchNorm: its gradient would be nothing but rounding, of which AdamW makes a whole step."""
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(64, 4),
    )


def _number_net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def _u(seed: int, name: str, shape: tuple[int, ...]) -> Array:
    return streams.uniforms(streams.derive(b"conformance models", seed, name), shape)


def _bytes(labels: Array, seed: int, shape: tuple[int, ...]) -> Array:
    """Pixels of noise; each class makes every fourth one brighter, from its own place on."""
    noise = _u(seed, "pixels", (len(labels), *shape))
    flat = np.floor(noise * 100).reshape(len(labels), -1)
    places = np.arange(flat.shape[1]) % 4
    flat += np.where(places[None, :] == labels[:, None], 90, 0)
    return np.asarray(flat.reshape(noise.shape), np.uint8)


def _numbers(labels: Array, seed: int, columns: int) -> Array:
    shift = np.where(np.arange(columns)[None, :] % 3 == labels[:, None], np.float32(0.9), np.float32(0))
    u = _u(seed, "numbers", (len(labels), columns))
    return np.asarray(u * np.float32(2) - np.float32(1) + shift, np.float32)


def _tokens(labels: Array, seed: int) -> Array:
    u = _u(seed, "tokens", (len(labels), 5))
    return np.asarray(np.floor(u * np.float32(12)) + 6 * labels[:, None], np.int64)


RELABEL = Relabel(start=3, threshold_percent=30.0, passes=2)


def _task(local: LocalTraining, **more: Any) -> Task:
    return Task("models", 5, round=ONE_DEVICE, seed=11, local=replace(local, **more), relabel=RELABEL)


ADAMW = LocalTraining(3, 16, {"lr": 0.01, "adam_epsilon": 1e-3, "weight_decay": 0.1})
PROXIMAL = LocalTraining(2, 16, {"lr": 0.5, "momentum": 0.9, "proximal": 0.1})
SGD = LocalTraining(3, 16, {"lr": 0.1, "momentum": 0.9})
SLOW = LocalTraining(3, 16, {"lr": 0.02, "momentum": 0.5})

MODELS: dict[str, Model] = {
    "batch-norm": Model(
        _batch_norm_net,
        "uint8:1x8x8",
        4,
        lambda labels, seed: {"x": _bytes(labels, seed, (1, 8, 8))},
        {
            "before-relabeling": (_task(ADAMW), 2),
            "relabeling": (_task(ADAMW), 3),
            "smote": (_task(ADAMW, sampling="class-balanced", synthesis="smote"), 3),
        },
        ADAMW,
        ("onnx", "executorch"),
        options={"optimizer": "adamw"},
    ),
    "tokens": Model(
        Tokens,
        "int64:5:30",
        4,
        lambda labels, seed: {"x": _tokens(labels, seed)},
        {"before-relabeling": (_task(PROXIMAL), 2), "class-balanced": (_task(PROXIMAL, sampling="class-balanced"), 3)},
        PROXIMAL,
        needs="inputs of whole numbers (int64)",
        options={"proximal": True},
    ),
    "two-inputs": Model(
        PixelsAndNumbers,
        ("pixels=uint8:1x4x4", "measured=float32:3"),
        3,
        lambda labels, seed: {"pixels": _bytes(labels, seed, (1, 4, 4)), "measured": _numbers(labels, seed, 3)},
        {
            "relabeling": (_task(SLOW), 3),
            "mixup": (_task(SLOW, synthesis="mixup"), 2),
            "smote": (_task(SLOW, sampling="class-balanced", synthesis="smote"), 3),
        },
        SLOW,
        needs="several inputs",
        options={"augment": "crop=1", "mean": (0.4,), "std": (0.3,)},
    ),
    "numbers": Model(
        _number_net,
        "float32:6",
        3,
        lambda labels, seed: {"x": _numbers(labels, seed, 6)},
        {
            "relabeling": (_task(SGD), 3),
            "mixup": (_task(SGD, synthesis="mixup"), 3),
            "smote": (_task(SGD, sampling="class-balanced", synthesis="smote"), 2),
        },
        SGD,
    ),
}

"""What a model of the zoo is, and the few lines that turn what packages offer into a classifier.

Entry("resnet18", "torchvision", "image", build, "uint8:3x32x32")
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

Kind = Literal["image", "text", "audio", "sensor", "tabular", "graph"]
CLASSES = 5


@dataclass(frozen=True)
class Entry:
    """A model that a package builds with random weights, small enough for a phone to train.

    name: unique in the zoo; package: as pip calls it; input: as `fedrela export --input` takes it, one or several.
    """

    name: str
    package: str
    kind: Kind
    build: Callable[[], nn.Module]
    input: str | tuple[str, ...]
    classes: int = CLASSES


class Headed(nn.Module):
    """`body` gives features (B, ..., width); a linear layer classifies their mean over all that is between."""

    def __init__(self, body: nn.Module, width: int, take: Callable[[Any], Tensor] = lambda features: features) -> None:
        super().__init__()
        self.body, self.take, self.head = body, take, nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """x: as the body takes it; logits (B, CLASSES)."""
        features = self.take(self.body(x))
        return self.head(features.flatten(1, -2).mean(1) if features.ndim > 2 else features)


class Called(nn.Module):
    """`body` called by `call(body, x)`: what a package's net needs beside x, and what of its answer are the logits."""

    def __init__(self, body: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.call = body, call

    def forward(self, x: Tensor) -> Tensor:
        """x: as the body takes it; logits (B, CLASSES)."""
        return self.call(self.body, x)

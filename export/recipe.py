"""Everything an export depends on besides the model itself.

>>> from fedrela.export.inputs import parse
>>> Recipe(inputs=(parse("uint8:1x8x8"),), classes=10).hyperparameter_defaults()
{'lr': 0.03, 'momentum': 0.5, 'weight_decay': 0.0}
"""

import unicodedata
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import get_args

from torch import nn

from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidInput
from fedrela.core.manifest import Fit
from fedrela.export import losses, optimizers
from fedrela.export.inputs import Pipeline, RawInput, refuse_names


@dataclass(frozen=True)
class Recipe:
    """How a model is fed, trained and named."""

    inputs: tuple[RawInput, ...]
    classes: int
    pipeline: Pipeline = field(default_factory=Pipeline)
    loss: losses.Loss = losses.LOSSES["cross-entropy"]
    optimizer: optimizers.Optimizer = optimizers.OPTIMIZERS["sgd"]
    trainable: tuple[str, ...] = ("*",)  # patterns of parameter names
    proximal: bool = False  # FedProx: adds proximal / 2 * |parameters - global parameters|^2 to the loss
    hyperparameters: dict[str, float] = field(default_factory=dict)  # in place of the defaults of optimizer and loss
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()  # of a table
    resize: Fit | None = None  # what devices do with pictures of another size; None: crop them
    name: str = "model"

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InvalidInput(f"{self.classes} classes", remedy="a classifier has at least 2")
        unknown = [name for name in self.hyperparameters if name not in self._defaults()]
        if unknown:
            raise InvalidInput(
                f"there is no hyperparameter {unknown[0]!r} here", remedy=f"known: {', '.join(self._defaults())}"
            )
        if self.resize not in (None, *get_args(Fit)):
            raise InvalidInput(f"there is no resizing {self.resize!r}", remedy=f"known: {', '.join(get_args(Fit))}")
        if self.resize not in (None, "exact") and not self._takes_pictures():
            raise InvalidInput(
                f"resizing by {self.resize!r} of inputs that are no pictures",
                remedy="leave it out; pictures are one input uint8:1xHxW or uint8:3xHxW",
            )
        channels = {raw.shape[0] for raw in self.inputs if raw.is_image}
        for values in (self.pipeline.mean, self.pipeline.std):
            if values and {len(values)} != channels:
                raise InvalidInput(
                    f"{len(values)} numbers of mean or std for images with {sorted(channels)} channels",
                    remedy="give one number per channel",
                )
        if len(self.pipeline.mean) != len(self.pipeline.std) or 0 in self.pipeline.std:
            raise InvalidInput("mean and std don't match", remedy="give both, with std above 0")
        self._check_names()
        state = self.optimizer.state({"": ()})  # of a parameter without a name: "momentum."
        refuse_names(self.inputs, [*self._defaults(), *self.augmentation_randoms(), *state])

    def _check_names(self) -> None:
        if self.class_names and len(self.class_names) != self.classes:
            raise InvalidInput(
                f"{len(self.class_names)} class names for {self.classes} classes", remedy="name every class once"
            )
        for kind, names in (("classes", self.class_names), ("columns", self.columns)):
            plain = [unicodedata.normalize("NFC", name) for name in names]  # an accent may be written in two ways
            twice = [name for name in plain if plain.count(name) > 1]
            if twice:
                raise InvalidInput(f"two {kind} have the name {twice[0]!r}", remedy="give each its own")

    def _defaults(self) -> dict[str, float]:
        proximal = {"proximal": 0.01} if self.proximal else {}
        return self.optimizer.hyperparameters | proximal | self.loss.hyperparameters

    def hyperparameter_defaults(self) -> dict[str, float]:
        """The program's hyperparameter inputs, in order, with their defaults."""
        return self._defaults() | self.hyperparameters

    @property
    def token_limit(self) -> int:
        """What golden tokens lie below, in every input that takes some: the smallest vocabulary; 0 without any."""
        return min((raw.token_limit for raw in self.inputs if raw.token_limit), default=0)

    def augmentation_randoms(self) -> dict[str, tuple[int | str, ...]]:
        """Names and shapes of the uniforms that augmentation needs."""
        return {name: shape for raw in self.inputs for name, shape in self.pipeline.randoms(raw).items()}

    def trains(self, parameter: str) -> bool:
        """Whether a parameter of this name is trained."""
        return any(fnmatchcase(parameter, pattern) for pattern in self.trainable)

    def trained(self, model: nn.Module) -> tuple[str, ...]:
        """First names of the parameters that are trained: one that several modules hold is, if any of its names is."""
        every = model.named_parameters(remove_duplicate=False)
        chosen = {id(p) for name, p in every if p.requires_grad and self.trains(name)}
        return tuple(name for name, p in model.named_parameters() if id(p) in chosen)

    def trainable_names(self, model: nn.Module) -> tuple[str, ...]:
        """`trained`; raises InvalidInput if there is none."""
        names = self.trained(model)
        if not names:
            known = ", ".join(name for name, _ in list(model.named_parameters())[:8])
            raise InvalidInput(
                f"no parameter matches {', '.join(self.trainable)}",
                remedy=f"use a pattern such as 'head.*'; known: {known}",
            )
        return names

    def _takes_pictures(self) -> bool:
        return len(self.inputs) == 1 and self.inputs[0].is_image and self.inputs[0].shape[0] in (1, 3)

    def preprocessing(self) -> Preprocessing:
        """How a device makes the raw tensors."""
        first = self.inputs[0]
        if len(self.inputs) > 1:
            return Preprocessing("raw")
        if first.is_image:
            fit: Fit = self.resize or ("crop" if self._takes_pictures() else "exact")
            return Preprocessing("image", grayscale=first.shape[0] == 1, fit=fit)
        if first.dtype == "float32" and len(first.shape) == 1:
            return Preprocessing("tabular", columns=self.columns)
        return Preprocessing("tokens" if first.token_limit else "raw")

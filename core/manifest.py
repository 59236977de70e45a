"""The manifest: what a bundle holds, and what every program of it takes and gives. It says nothing of the weights.

Devices and the coordinator need nothing else to know about a model.

    >>> Manifest.__dataclass_fields__["schema_version"].default
    1
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Literal

from fedrela.core import strict, tensors
from fedrela.core.errors import InvalidBundle, InvalidTensors
from fedrela.core.protocol import program_contract
from fedrela.core.protocol.limits import Between, Exactly, Features, Length, Natural, Sha256
from fedrela.core.protocol.programs import LARGEST_FILE, FileName, Program
from fedrela.core.tensors import Array, TensorSpec

SCHEMA_VERSION = 1
PROGRAMS = ("train_step", "predict", "relabel")
LARGEST_TOLERANCE = 1e-3  # ten times what the exporter writes: whoever signs a program can't call a wrong runtime right
Fit = Literal["exact", "stretch", "crop", "pad"]


@dataclass(frozen=True)
class Preprocessing:
    """How a device makes x from what it holds. Normalization and augmentation are inside the programs."""

    kind: Literal["image", "tabular", "tokens", "raw"] = "raw"
    resize: bool = False  # read of bundles made before there was `fit`
    grayscale: bool = False
    columns: Annotated[tuple[str, ...], Length(0, 10_000)] = ()  # tabular: the CSV columns, in order
    # Pictures of another size than the model's: refused; their proportions given up; their middle; with a margin.
    fit: Fit = ""  # type: ignore[assignment]  # a bundle that says nothing: what `resize` meant before there was `fit`

    def __post_init__(self) -> None:
        if not self.fit:
            object.__setattr__(self, "fit", "stretch" if self.resize else "exact")


@dataclass(frozen=True)
class Golden:
    """How the golden steps' inputs are made (see fedrela.core.golden) and where their outputs are."""

    path: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Between(1, LARGEST_FILE)]
    seed: Natural = 0
    steps: Annotated[int, Between(1, 1024)] = 3
    batch: Annotated[int, Between(1, 1024)] = 8
    token_limit: Annotated[int, Between(0, 2**31 - 1)] = 0  # x of an integer dtype other than uint8 lies below this
    tolerance: Annotated[float, Between(0, LARGEST_TOLERANCE, above=True)] = 1e-4  # largest relative error per tensor


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds. Devices and the coordinator need nothing else to know about a model."""

    name: Annotated[str, Length(1, 200)]
    classes: Annotated[int, Between(2, 1_000_000)]
    train_step: Program
    predict: Program
    relabel: Program
    golden: Golden
    loss: str = "cross-entropy"
    optimizer: str = "sgd"
    hyperparameters: Annotated[dict[str, float], Length(0, 100)] | None = None  # defaults, by input name
    class_names: tuple[Annotated[str, Length(1, 200)], ...] = ()
    preprocessing: Preprocessing = Preprocessing()
    schema_version: Annotated[int, Exactly(SCHEMA_VERSION, "export the model again, or update this program")] = 1
    requires: Features = ()  # what a device must understand beyond the base of the protocol, to run this at all
    # By a statistic's name, where one is known: of a variance 0. No model that goes below it is ever a global one.
    lowest_values: Annotated[dict[str, float], Length(0, 10_000)] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.classes < 2:
            raise InvalidBundle(f"the manifest names {self.classes} classes", remedy="export with at least 2 classes")
        if len(set(self.class_names)) != len(self.class_names):
            raise InvalidBundle("two classes have one name", remedy="give each its own")
        if self.class_names and len(self.class_names) != self.classes:
            raise InvalidBundle(
                f"{len(self.class_names)} class names for {self.classes} classes", remedy="name every class once"
            )

    @cached_property
    def weights(self) -> tuple[TensorSpec, ...]:
        """The tensors that travel: parameters and buffers, in train_step's order."""
        return tuple(item.spec for item in self.train_step.role("parameter", "buffer"))

    @property
    def parameters(self) -> tuple[TensorSpec, ...]:
        """Those of the weights that are trained."""
        return tuple(item.spec for item in self.train_step.role("parameter"))

    @cached_property
    def statistics(self) -> frozenset[str]:
        """Those of the weights that training counts and no gradient moves, such as BatchNorm's running variance.

        They travel whole, are averaged plainly, and no optimizer, residual or norm knows of them.
        """
        return frozenset(item.name for item in self.train_step.role("buffer"))

    def check_weights(self, weights: Mapping[str, Array]) -> None:
        """Raise InvalidTensors unless these are finite weights of the model, with no statistic below its lowest value.

        `weights` by name, as `Manifest.weights` says.
        """
        tensors.check(weights, self.weights)
        below = self.below_lowest(weights)
        if below:
            raise InvalidTensors(
                f"tensor {below[0]!r} holds a value below {self.lowest_values[below[0]]:g}",
                remedy="take the weights of a model that was trained without a fault",
            )

    def below_lowest(self, weights: Mapping[str, Array]) -> list[str]:
        """The statistics among `weights` that hold a value below their lowest; one that is no number is below, too."""
        lowest = {name: least for name, least in self.lowest_values.items() if name in weights}
        return [name for name, least in lowest.items() if not (weights[name] >= least).all()]

    @property
    def x(self) -> tuple[TensorSpec, ...]:
        """The raw example tensors, first dimension "B"."""
        return tuple(item.spec for item in self.train_step.role("x"))

    def files(self) -> dict[str, tuple[str, int]]:
        """path -> (sha256, size in bytes) of every file the manifest names."""
        programs = (self.train_step, self.predict, self.relabel)
        named = {file.path: (file.sha256, file.size_bytes) for program in programs for file in program.files}
        return named | {self.golden.path: (self.golden.sha256, self.golden.size_bytes)}


def parse_manifest(body: bytes) -> Manifest:
    """Read a manifest. Raises InvalidBundle for whatever no device could use, before any runtime sees it."""
    manifest = strict.from_json(Manifest, body, InvalidBundle)
    program_contract.check(manifest.train_step, manifest.predict, manifest.relabel, manifest.classes)
    known = {item.name for item in manifest.train_step.role("hyperparameter")}
    surplus = sorted(set(manifest.hyperparameters or {}) - known)
    if surplus:
        raise InvalidBundle(f"hyperparameter {surplus[0]!r} is no input of train_step", remedy="export the model again")
    surplus = sorted(set(manifest.lowest_values) - manifest.statistics)
    if surplus:
        raise InvalidBundle(f"{surplus[0]!r} has a lowest value and is no statistic", remedy="export the model again")
    return manifest

"""The manifest: what a bundle holds, and what every program of it takes and gives. It says nothing of the weights.

Devices and the coordinator need nothing else to know about a model.

    >>> ProgramInput("w", "parameter", (2, 3)).spec.size
    6
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from fedrela.core import strict
from fedrela.core.errors import InvalidBundle
from fedrela.core.tensors import TensorSpec

SCHEMA_VERSION = 1
PROGRAMS = ("train_step", "predict", "relabel")

Role = Literal[
    "parameter",  # trainable, travels; also an output of train_step
    "buffer",  # BatchNorm statistics, travels; also an output of train_step
    "optimizer",  # stays on the device; zeros at the start of a client round; also an output of train_step
    "anchor",  # the global value of the parameter of the same name without the "anchor." prefix (FedProx)
    "x",  # raw examples, first dimension "B"
    "y",  # labels (B,) int64
    "weight",  # (B,) float32, 0 for padding
    "hyperparameter",  # () float32
    "random",  # uniforms in [0, 1), float32
    "class_prior",  # (C,) float32, the device's own label shares (after re-labeling); never leaves it
    "probabilities",  # relabel only, ("N", C) float32
    "labels",  # relabel only, ("N",) int64
    "uniforms",  # relabel only, ("N", C) float32
    "threshold_percent",  # relabel only, () float32
]


# What a training step takes and gives back anew, so that the next step goes on from it.
CARRIED: tuple[Role, ...] = ("parameter", "buffer", "optimizer")
# The sums over a batch that a training step gives besides, all () float32.
TOTALS = ("loss_sum", "correct_sum", "weight_sum")
# What is another array at every training step.
CHANGING: tuple[Role, ...] = ("x", "y", "weight", "random", "class_prior")


@dataclass(frozen=True)
class ProgramInput:
    """One input of a program: the name in the graph, what to feed, and its shape with "B" or "N" left open."""

    name: str
    role: Role
    shape: tuple[int | str, ...]
    dtype: str = "float32"

    @property
    def spec(self) -> TensorSpec:
        """The same without its role."""
        return TensorSpec(self.name, self.shape, self.dtype)


@dataclass(frozen=True)
class ProgramFile:
    """One program for one runtime. `max_batch` 0: any batch size; otherwise the largest that it takes."""

    runtime: Literal["onnx", "executorch"]
    path: str
    sha256: str
    size_bytes: int
    min_runtime_version: str
    max_batch: int = 0


@dataclass(frozen=True)
class Program:
    """Inputs and output names in graph order, and a file for each runtime.

    train_step gives the new value of every parameter, buffer and optimizer input, in the order of those inputs and
    named "new." + their name, then `loss_sum`, `correct_sum`, `weight_sum` (all () float32). predict gives
    `probabilities` (B, C). relabel gives `new_labels` (N,) int64 and `flip_rate` (N,) float32.
    """

    inputs: tuple[ProgramInput, ...]
    outputs: tuple[str, ...]
    files: tuple[ProgramFile, ...]

    def file(self, runtime: str) -> ProgramFile | None:
        """The file for `runtime`, if there is one."""
        return next((file for file in self.files if file.runtime == runtime), None)

    def role(self, *roles: str) -> tuple[ProgramInput, ...]:
        """The inputs that have one of `roles`, in order."""
        return tuple(item for item in self.inputs if item.role in roles)


@dataclass(frozen=True)
class Preprocessing:
    """How a device makes x from what it holds. Normalization and augmentation are inside the programs."""

    kind: Literal["image", "tabular", "tokens", "raw"] = "raw"
    resize: bool = False  # images of another size: resized, or else refused
    grayscale: bool = False
    columns: tuple[str, ...] = ()  # tabular: the CSV columns, in order


@dataclass(frozen=True)
class Golden:
    """How the golden steps' inputs are made (see fedrela.core.golden) and where their outputs are."""

    path: str
    sha256: str
    size_bytes: int
    seed: int = 0
    steps: int = 3
    batch: int = 8
    token_limit: int = 0  # x of an integer dtype other than uint8 lies below this
    tolerance: float = 1e-4  # largest relative error per tensor


@dataclass(frozen=True)
class Manifest:
    """What a bundle holds. Devices and the coordinator need nothing else to know about a model."""

    name: str
    classes: int
    train_step: Program
    predict: Program
    relabel: Program
    golden: Golden
    loss: str = "cross-entropy"
    optimizer: str = "sgd"
    hyperparameters: dict[str, float] | None = None  # defaults, by input name
    class_names: tuple[str, ...] = ()
    preprocessing: Preprocessing = Preprocessing()
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if self.schema_version != SCHEMA_VERSION:
            raise InvalidBundle(
                f"the manifest has schema version {self.schema_version}, this program reads {SCHEMA_VERSION}",
                remedy="export the model again, or update this program",
            )
        if self.classes < 2:
            raise InvalidBundle(f"the manifest names {self.classes} classes", remedy="export with at least 2 classes")
        if self.class_names and len(self.class_names) != self.classes:
            raise InvalidBundle(
                f"{len(self.class_names)} class names for {self.classes} classes", remedy="name every class once"
            )

    @cached_property
    def weights(self) -> tuple[TensorSpec, ...]:
        """The tensors that travel: parameters and buffers, in train_step's order."""
        return tuple(item.spec for item in self.train_step.role("parameter", "buffer"))

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
    """Read a manifest. Raises InvalidBundle; a path that leaves the folder is refused."""
    manifest = strict.from_json(Manifest, body, InvalidBundle)
    for path in manifest.files():
        if path != Path(path).name or path in ("", ".", ".."):
            raise InvalidBundle(f"the manifest names the path {path!r}", remedy="use plain file names")
    for name, program in zip(PROGRAMS, (manifest.train_step, manifest.predict, manifest.relabel), strict=True):
        if not program.files:
            raise InvalidBundle(f"program {name} has no file", remedy="export it for at least one runtime")
    return manifest

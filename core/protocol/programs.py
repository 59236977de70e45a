"""What a program takes and gives: its inputs by role, its outputs by name, and its file for each runtime.

>>> ProgramInput("w", "parameter", (2, 3)).spec.size
6
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from fedrela.core.protocol.limits import Between, Length, Sha256, Text, VersionOrNone
from fedrela.core.tensors import MOST_DIMENSIONS, TensorSpec

# A plain file name: no separator, no control character, neither "." nor "..".
PATH_PATTERN = r"(\.{3}[^/\\\x00-\x1f\x7f]*|\.{0,2}[^./\\\x00-\x1f\x7f][^/\\\x00-\x1f\x7f]*)"

Role = Literal[
    "parameter",  # trainable, travels; also an output of train_step
    "buffer",  # a statistic, such as BatchNorm's running variance: travels; also an output of train_step
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


LARGEST_FILE = 2**31 - 1  # bytes: what a protobuf or a flatbuffer can hold
FileName = Annotated[str, Text(PATH_PATTERN, "a plain file name"), Length(1, 200)]
Dtype = Annotated[str, Text("float32|float16|int8|uint8|int32|int64|bool", "a dtype that travels")]

# What a training step takes and gives back anew, so that the next step goes on from it.
CARRIED: tuple[Role, ...] = ("parameter", "buffer", "optimizer")
# The sums over a batch that a training step gives besides, all () float32.
TOTALS = ("loss_sum", "correct_sum", "weight_sum")
# What is another array at every training step.
CHANGING: tuple[Role, ...] = ("x", "y", "weight", "random", "class_prior")


@dataclass(frozen=True)
class ProgramInput:
    """One input of a program: the name in the graph, what to feed, and its shape with "B" or "N" left open."""

    name: Annotated[str, Length(1, 500)]
    role: Role
    shape: Annotated[tuple[int | str, ...], Length(0, MOST_DIMENSIONS)]
    dtype: Dtype = "float32"

    @property
    def spec(self) -> TensorSpec:
        """The same without its role."""
        return TensorSpec(self.name, self.shape, self.dtype)


@dataclass(frozen=True)
class ProgramFile:
    """One program for one runtime. `max_batch` 0: any batch size; otherwise the largest that it takes."""

    runtime: Literal["onnx", "executorch"]
    path: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Between(1, LARGEST_FILE)]
    min_runtime_version: VersionOrNone
    max_batch: Annotated[int, Between(0, 1_000_000)] = 0


@dataclass(frozen=True)
class Program:
    """Inputs and output names in graph order, and a file for each runtime.

    train_step gives the new value of every parameter, buffer and optimizer input, in the order of those inputs and
    named "new." + their name, then `loss_sum`, `correct_sum`, `weight_sum` (all () float32). predict gives
    `probabilities` (B, C). relabel gives `new_labels` (N,) int64 and `flip_rate` (N,) float32.
    """

    inputs: Annotated[tuple[ProgramInput, ...], Length(1, 10_000)]
    outputs: tuple[str, ...]
    files: Annotated[tuple[ProgramFile, ...], Length(1, 2)]

    def file(self, runtime: str) -> ProgramFile | None:
        """The file for `runtime`, if there is one."""
        return next((file for file in self.files if file.runtime == runtime), None)

    def role(self, *roles: str) -> tuple[ProgramInput, ...]:
        """The inputs that have one of `roles`, in order."""
        return tuple(item for item in self.inputs if item.role in roles)

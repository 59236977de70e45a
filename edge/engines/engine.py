"""Engine: the seam between a device's round and the runtime that executes the exported programs.

Two runtimes fill it: `fedrela.edge.engines.onnx_engine` (the default) and `fedrela.edge.engines.executorch_engine`. An
engine is opened once per bundle and shared by any number of training states, from any number of threads; a state
belongs to one thread at a time.

    engine = OnnxEngine(manifest, programs, threads=1)
    state = engine.start(weights)
    totals = engine.train_step(state, Batch(x={"x": pixels}, y=labels, weight=ones, hyperparameters={"lr": 0.05}))
    trained = engine.weights(state)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidBundle
from fedrela.core.manifest import Manifest
from fedrela.core.protocol.programs import CARRIED, ProgramInput
from fedrela.core.tensors import Array, Params

INSTALL = {"onnx": "pip install 'fedrela[edge]'", "executorch": "pip install torch==2.13.0 executorch==1.4.1"}
State: TypeAlias = Any  # opaque: parameters, buffers and optimizer state inside the runtime
RunNative: TypeAlias = Callable[[Callable[[], None]], None]  # runs what leaves Python, and returns when it has run


class UnloadableProgram(InvalidBundle):
    """A program that this device's runtime can't load; another device's may."""


def run_here(native: Callable[[], None]) -> None:
    """The usual `RunNative`: in the thread that asks."""
    native()


def relabel_inputs(
    manifest: Manifest,
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int64],
    uniforms: NDArray[np.float32],
    threshold_percent: float,
) -> dict[str, Array]:
    """What the re-labeling program takes, by name and in its order; see `Engine.relabel`."""
    by_role: dict[str, Array] = {
        "probabilities": probabilities,
        "labels": labels,
        "uniforms": uniforms,
        "threshold_percent": np.array(threshold_percent, np.float32),
    }
    return {item.name: by_role[item.role] for item in manifest.relabel.inputs}


def state_bytes(manifest: Manifest) -> int:
    """What one training state of a bundle holds, in bytes."""
    return sum(4 * item.spec.size for item in manifest.train_step.role(*CARRIED))


@dataclass(frozen=True)
class Batch:
    """What one training step is fed, beside the state. Arrays are keyed by the names of the program's inputs."""

    x: Mapping[str, Array]  # each (B, ...)
    y: NDArray[np.int64]  # (B,)
    weight: NDArray[np.float32]  # (B,), 0 for a sample that must not count
    hyperparameters: Mapping[str, float] = field(default_factory=dict)
    randoms: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    class_prior: NDArray[np.float32] | None = None  # (C,), only if the program has such an input


def from_batch(items: Iterable[ProgramInput], batch: Batch) -> dict[str, Array]:
    """Those of a training step's inputs that change with every step, by name, as the manifest's roles say."""
    fed: dict[str, Array] = {}
    for item in items:
        if item.role == "x":
            fed[item.name] = batch.x[item.name]
        elif item.role == "random":
            fed[item.name] = batch.randoms[item.name]
        else:
            fed[item.name] = np.asarray({"y": batch.y, "weight": batch.weight}.get(item.role, batch.class_prior))
    return fed


@dataclass(frozen=True)
class StepTotals:
    """Sums over one batch: weighted losses, weighted correct answers (before the step), weights."""

    loss_sum: float
    correct_sum: float
    weight_sum: float


class Engine(Protocol):
    """Runs the three programs of one bundle on one runtime.

    Every method takes any batch size from 1 up: an engine whose program has a fixed or bounded batch pads with weight 0
    in training and splits in prediction. Arrays are checked by the caller; an engine raises only what its runtime does.
    """

    name: str  # "onnx" or "executorch", as in the manifest
    version: str  # of the runtime, for example "1.32.0"
    manifest: Manifest

    def start(self, weights: Params) -> State:
        """A training state: parameters and buffers from `weights` (copied), optimizer zero, anchors = `weights`."""
        ...

    def train_step(self, state: State, batch: Batch) -> StepTotals:
        """One step, in place."""
        ...

    def train_steps(self, state: State, batches: Iterator[Batch], most: int) -> list[StepTotals]:
        """The next steps, in place: as many as this engine does best at once, from 1 to `most`; no batch is drawn that
        isn't trained on.
        """
        ...

    def weights(self, state: State) -> Params:
        """A copy of parameters and buffers, in manifest order."""
        ...

    def snapshot(self, state: State) -> dict[str, Array]:
        """A copy of parameters, buffers and optimizer state by input name: all that `restore` needs."""
        ...

    def restore(self, weights: Params, snapshot: Mapping[str, Array]) -> State:
        """The state that `snapshot` was taken from; `weights` are the global ones (anchors). Bit-identical."""
        ...

    def predict(self, weights: Params, x: Mapping[str, Array], randoms: Mapping[str, Array]) -> NDArray[np.float32]:
        """Probabilities (B, C) of one batch. Repeated calls with the same `weights` object are cheap."""
        ...

    def relabel(
        self,
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        uniforms: NDArray[np.float32],
        threshold_percent: float,
    ) -> NDArray[np.int64]:
        """The new labels (n,). probabilities and uniforms (n, C), labels (n,); see `fedrela.core.relabel`."""
        ...

    def run(self, program: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """One program ("train_step", "predict" or "relabel") on raw inputs, outputs by name: for golden steps."""
        ...

"""ExecuTorch programs on ExecuTorch's Python runtime: the engine that tests on a desktop what a phone's app runs.

One loaded program per file, shared by every state; its memory is planned for the file's largest batch, so that calls
take turns. ExecuTorch's Python runtime hands tensors over as torch's, which makes this the one module outside `export`
that imports torch, when the first engine is opened and not before.

    engine = ExecutorchEngine(manifest, {"train_step": ..., "predict": ..., "relabel": ...}, threads=1)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidData, InvalidTask, MissingDependency
from fedrela.core.manifest import Manifest
from fedrela.core.protocol.programs import CARRIED, TOTALS, Program, ProgramInput
from fedrela.core.pte_files import rules
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines import engine as engines
from fedrela.edge.engines.admission import admit
from fedrela.edge.engines.engine import INSTALL, Batch, RunNative, StepTotals, UnloadableProgram


@cache  # a process that is sealed can't look again
def version() -> str:
    """The installed ExecuTorch's version. Raises MissingDependency."""
    try:
        return metadata.version("executorch")
    except metadata.PackageNotFoundError as error:
        raise MissingDependency("the ExecuTorch runtime is not installed", remedy=INSTALL["executorch"]) from error


@dataclass
class ExecutorchState:
    """The newest value of each carried tensor, and the anchors, as torch tensors by input name."""

    carried: dict[str, Any]
    anchors: dict[str, Any]


class ExecutorchEngine:
    """See `fedrela.edge.engines.engine.Engine`. `programs` maps each program's name to the bytes of its verified .pte
    file.

    Programs run in the thread that asks, whatever `run_native` is: calls take turns anyway. Raises MissingDependency
    where ExecuTorch or torch isn't installed.
    """

    name = "executorch"

    def __init__(
        self,
        manifest: Manifest,
        programs: Mapping[str, bytes],
        *,
        threads: int = 1,
        run_native: RunNative = engines.run_here,
    ) -> None:
        self.manifest = manifest
        self.version = version()
        self._torch, self._runtime = import_runtime(threads)
        self._programs = admit(programs, rules.check)
        self._loaded: dict[str, _Loaded] = {}
        self._lock = Lock()
        self._known_weights: tuple[Params | None, dict[str, Any]] = (None, {})

    def start(self, weights: Params) -> ExecutorchState:
        """See `Engine.start`."""
        return self._state(weights, weights)

    def restore(self, weights: Params, snapshot: Mapping[str, Array]) -> ExecutorchState:
        """See `Engine.restore`."""
        return self._state(weights, snapshot)

    def train_step(self, state: ExecutorchState, batch: Batch) -> StepTotals:
        """See `Engine.train_step`. Raises InvalidTask for a batch larger than the program takes."""
        limit = self._limit("train_step")
        if len(batch.y) > limit:
            raise InvalidTask(
                f"a batch of {len(batch.y)} samples; the ExecuTorch program takes at most {limit}",
                remedy=f"set local.batch_size to {limit} or less, or export with a larger --max-batch",
            )
        fed = {item.name: self._tensor(_from_batch(item, batch), item) for item in self._step_inputs()}
        outputs = self._call("train_step", state.carried | state.anchors | fed)
        state.carried = {name: outputs["new." + name] for name in state.carried}
        return StepTotals(*(float(outputs[name]) for name in TOTALS))

    def train_steps(self, state: ExecutorchState, batches: Iterator[Batch], most: int) -> list[StepTotals]:
        """See `Engine.train_steps`: one, since a call costs next to nothing here."""
        return [self.train_step(state, next(batches))]

    def weights(self, state: ExecutorchState) -> Params:
        """See `Engine.weights`."""
        return {spec.name: _copied(state.carried[spec.name]) for spec in self.manifest.weights}

    def snapshot(self, state: ExecutorchState) -> dict[str, Array]:
        """See `Engine.snapshot`."""
        return {name: _copied(tensor) for name, tensor in state.carried.items()}

    def predict(self, weights: Params, x: Mapping[str, Array], randoms: Mapping[str, Array]) -> NDArray[np.float32]:
        """See `Engine.predict`. A batch larger than the program takes is predicted in parts."""
        fed = self._prediction_weights(weights)
        open_inputs = self.manifest.predict.role("x", "random")
        arrays = {item.name: (x if item.role == "x" else randoms)[item.name] for item in open_inputs}
        size = next(len(arrays[item.name]) for item in open_inputs if item.role == "x")
        limit, parts = self._limit("predict"), []
        for start in range(0, size, limit):
            part = {item.name: self._tensor(_rows(item, arrays[item.name], start, limit), item) for item in open_inputs}
            parts.append(_copied(self._call("predict", fed | part)["probabilities"]))
        return np.concatenate(parts)

    def relabel(
        self,
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        uniforms: NDArray[np.float32],
        threshold_percent: float,
    ) -> NDArray[np.int64]:
        """See `Engine.relabel`. Raises InvalidData for more samples than the program takes."""
        limit = self._limit("relabel")
        if len(labels) > limit:
            raise InvalidData(
                f"{len(labels)} samples to re-label; the ExecuTorch program takes at most {limit}",
                remedy="use the ONNX runtime on this device, which takes any number",
            )
        inputs = engines.relabel_inputs(self.manifest, probabilities, labels, uniforms, threshold_percent)
        return np.asarray(self.run("relabel", inputs)["new_labels"])

    def run(self, program: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.run`."""
        tensors = {item.name: self._tensor(inputs[item.name], item) for item in self._definition(program).inputs}
        return {name: _copied(tensor) for name, tensor in self._call(program, tensors).items()}

    def _call(self, program: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Run one program on torch tensors; the outputs are copies, in nobody's planned memory."""
        definition = self._definition(program)
        with self._lock:
            if program not in self._loaded:
                self._loaded[program] = _load(self._runtime, self._programs[program], program)
            outputs = self._loaded[program].method([inputs[item.name] for item in definition.inputs])
        return dict(zip(definition.outputs, outputs, strict=True))

    def _state(self, weights: Params, carried: Mapping[str, Array]) -> ExecutorchState:
        step = self.manifest.train_step
        first = {
            item.name: self._tensor(carried[item.name], item)
            if item.name in carried
            else self._torch.zeros(tuple(item.shape))
            for item in step.role(*CARRIED)
        }
        anchors = {
            item.name: self._tensor(weights[item.name.removeprefix("anchor.")], item) for item in step.role("anchor")
        }
        return ExecutorchState(first, anchors)

    def _prediction_weights(self, weights: Params) -> dict[str, Any]:
        """`weights` as the runtime takes them, kept for as long as the same object is passed."""
        known, tensors = self._known_weights
        if known is not weights:
            items = self.manifest.predict.role("parameter", "buffer")
            tensors = {item.name: self._tensor(weights[item.name], item) for item in items}
            self._known_weights = (weights, tensors)
        return tensors

    def _step_inputs(self) -> tuple[ProgramInput, ...]:
        return self.manifest.train_step.role("x", "y", "weight", "hyperparameter", "random", "class_prior")

    def _definition(self, program: str) -> Program:
        definition: Program = getattr(self.manifest, program)
        return definition

    def _limit(self, program: str) -> int:
        """The largest batch that a program takes."""
        file = self._definition(program).file(self.name)
        return file.max_batch if file is not None and file.max_batch else 1 << 62

    def _tensor(self, array: Array, item: ProgramInput) -> Any:
        """A torch tensor that owns its memory."""
        return self._torch.from_numpy(np.array(array, dtype=item.dtype, order="C"))


@dataclass(frozen=True)
class _Loaded:
    """A loaded method, and what must live as long as it."""

    body: bytes
    program: Any
    method: Any


def import_runtime(threads: int) -> tuple[Any, Any]:
    """torch and the runtime alone: the module around it imports the whole compiler, which takes 3 s and 130 MB."""
    try:
        import torch
        from executorch.extension.pybindings import _portable_lib as portable_lib
    except ImportError as error:
        raise MissingDependency(
            f"the ExecuTorch runtime can't be loaded ({error})", remedy=INSTALL["executorch"]
        ) from error
    if portable_lib._threadpool_get_thread_count() != threads:
        portable_lib._unsafe_reset_threadpool(threads)
    return torch, portable_lib


def _load(runtime: Any, body: bytes, name: str) -> _Loaded:
    try:
        program = runtime._load_program_from_buffer(body)
        return _Loaded(body, program, program.load_method("forward"))
    except (RuntimeError, MemoryError) as error:
        raise UnloadableProgram(
            f"ExecuTorch {version()} can't load program {name} ({str(error)[:200]})",
            remedy="install the ExecuTorch that the manifest asks for, or export the model again",
        ) from error


def _from_batch(item: ProgramInput, batch: Batch) -> Array:
    """The array of `batch` for one input of train_step, as the manifest's roles say."""
    if item.role == "x":
        return batch.x[item.name]
    if item.role == "random":
        return batch.randoms[item.name]
    if item.role == "hyperparameter":
        if item.name not in batch.hyperparameters:
            raise InvalidTask(
                f"the program needs the hyperparameter {item.name!r}",
                remedy=f"set local.hyperparameters.{item.name} in the task",
            )
        return np.asarray(batch.hyperparameters[item.name], np.float32)
    return np.asarray({"y": batch.y, "weight": batch.weight}.get(item.role, batch.class_prior))


def _rows(item: ProgramInput, array: Array, start: int, count: int) -> Array:
    """Rows start .. start + count along the open dimension; the whole array if it has none."""
    if "B" not in item.shape:
        return array
    index: Sequence[slice] = [slice(None)] * item.shape.index("B") + [slice(start, start + count)]
    return array[tuple(index)]


def _copied(tensor: Any) -> Array:
    return np.array(tensor.detach().numpy())

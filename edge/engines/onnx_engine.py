"""ONNX programs on onnxruntime's CPU provider: the default engine.

One session per program, made when the program is first needed and shared by every state.

    engine = OnnxEngine(manifest, {"train_step": ..., "predict": ..., "relabel": ...}, threads=1)
"""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from threading import Lock, local
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fedrela.core.errors import InvalidBundle, InvalidTask
from fedrela.core.manifest import Manifest
from fedrela.core.onnx_files import in_place as onnx_in_place
from fedrela.core.onnx_files import rules
from fedrela.core.onnx_files.constants import with_constants
from fedrela.core.protocol.programs import CARRIED, CHANGING, TOTALS, Program
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.admission import admit
from fedrela.edge.engines.engine import (
    Batch,
    RunNative,
    StepTotals,
    UnloadableProgram,
    from_batch,
    relabel_inputs,
    run_here,
    state_bytes,
)
from fedrela.edge.engines.onnx_state import OnnxState, bind, in_place

_SMALL_BYTES = 1 << 20  # a state that is no larger leaves its memory to the next one


def version() -> str:
    """The installed onnxruntime's version."""
    return str(onnxruntime.__version__)


class OnnxEngine:
    """See `fedrela.edge.engines.engine.Engine`. `programs` maps each program's name to the bytes of its verified .onnx
    file.

    `run_native` runs a training step or a prediction, which leave Python: here, or in another thread by whoever has
    something to do meanwhile.
    """

    name = "onnx"

    def __init__(
        self,
        manifest: Manifest,
        programs: Mapping[str, bytes],
        *,
        threads: int = 1,
        run_native: RunNative = run_here,
    ) -> None:
        self.manifest = manifest
        self.version = version()
        self._programs = admit(programs, rules.check)
        self._threads = threads
        self._sessions: dict[str, Any] = {}
        self._in_place: frozenset[str] | None = None
        self._lock = Lock()
        self._predictors = local()
        self._spare: list[OnnxState] = []  # of states that are gone; to make the bindings of a new one takes longer
        self._anchors = tuple(item.name for item in manifest.train_step.role("anchor"))
        self._run_native = run_native
        self._changing = manifest.train_step.role(*CHANGING)
        self._rate_names = tuple(item.name for item in manifest.train_step.role("hyperparameter"))

    def start(self, weights: Params) -> OnnxState:
        """See `Engine.start`."""
        return self._state(weights, weights)

    def restore(self, weights: Params, snapshot: Mapping[str, Array]) -> OnnxState:
        """See `Engine.restore`."""
        return self._state(weights, snapshot)

    def train_step(self, state: OnnxState, batch: Batch) -> StepTotals:
        """See `Engine.train_step`."""
        session = self._session("train_step")
        state.feed(from_batch(self._changing, batch), self._rates(batch))
        with _clear_faults("train_step"):
            self._run_native(partial(session.run_with_iobinding, state.binding))
        state.step_done()
        return StepTotals(*(float(state.totals[name]) for name in TOTALS))

    def train_steps(self, state: OnnxState, batches: Iterator[Batch], most: int) -> list[StepTotals]:
        """See `Engine.train_steps`: one, since a call costs next to nothing here."""
        return [self.train_step(state, next(batches))]

    def weights(self, state: OnnxState) -> Params:
        """See `Engine.weights`."""
        return {spec.name: state.newest[spec.name].copy() for spec in self.manifest.weights}

    def snapshot(self, state: OnnxState) -> dict[str, Array]:
        """See `Engine.snapshot`."""
        return {name: array.copy() for name, array in state.newest.items()}

    def predict(self, weights: Params, x: Mapping[str, Array], randoms: Mapping[str, Array]) -> NDArray[np.float32]:
        """See `Engine.predict`."""
        session = self._prediction_session(weights)
        binding = session.io_binding()
        fed = {  # held until the run is over
            item.name: np.asarray((x if item.role == "x" else randoms)[item.name], order="C")
            for item in self.manifest.predict.role("x", "random")
        }
        for name, array in fed.items():
            binding.bind_ortvalue_input(name, in_place(array))
        binding.bind_output("probabilities")
        with _clear_faults("predict"):
            self._run_native(partial(session.run_with_iobinding, binding))
        return np.asarray(binding.copy_outputs_to_cpu()[0])

    def relabel(
        self,
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        uniforms: NDArray[np.float32],
        threshold_percent: float,
    ) -> NDArray[np.int64]:
        """See `Engine.relabel`."""
        inputs = relabel_inputs(self.manifest, probabilities, labels, uniforms, threshold_percent)
        return np.asarray(self.run("relabel", inputs)["new_labels"])

    def run(self, program: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.run`."""
        names = list(self._definition(program).outputs)
        fed = {name: np.asarray(array, order="C") for name, array in inputs.items()}
        session = self._session(program)
        with _clear_faults(program):
            return dict(zip(names, session.run(names, fed), strict=True))

    def _definition(self, program: str) -> Program:
        definition: Program = getattr(self.manifest, program)
        return definition

    def _session(self, program: str) -> Any:
        with self._lock:
            if program not in self._sessions:
                self._sessions[program] = open_session(self._programs[program], program, self._threads)
            return self._sessions[program]

    def _state(self, weights: Params, carried: Mapping[str, Array]) -> OnnxState:
        """A state that holds `carried`, else zeros; perhaps in the memory of one that is gone."""
        anchors = {name: weights[name.removeprefix("anchor.")] for name in self._anchors}
        try:
            state = self._spare.pop()
        except IndexError:
            first = {item.name: _initial(item, carried) for item in self.manifest.train_step.role(*CARRIED)}
            copies = {name: value.copy() for name, value in anchors.items()}
            state = bind(self._session("train_step"), first, self._updatable(), copies)
        else:
            state.write(carried, anchors)
        if self._reuses_states:
            weakref.finalize(state, self._spare.append, state.again()).atexit = False
        return state

    @cached_property
    def _reuses_states(self) -> bool:
        return state_bytes(self.manifest) <= _SMALL_BYTES

    def _updatable(self) -> frozenset[str]:
        """The carried tensors whose new values may be written over the old ones."""
        with self._lock:
            if self._in_place is None:
                step = self.manifest.train_step
                graph = onnx_in_place.nodes(self._programs["train_step"])
                carried = {item.name: "new." + item.name for item in step.role(*CARRIED)}
                self._in_place = onnx_in_place.updatable(graph, carried, {item.name for item in step.role(*CHANGING)})
            return self._in_place

    def _rates(self, batch: Batch) -> dict[str, float]:
        return {name: _required(batch, name) for name in self._rate_names}

    def _prediction_session(self, weights: Params) -> Any:
        """A session that holds `weights` as constants, so that the runtime can fold and lay them out ahead.

        Each thread keeps its last one for as long as the same object is passed: weights change once a round.
        """
        known, session = getattr(self._predictors, "last", (None, None))
        if known is not weights:
            names = [item.name for item in self.manifest.predict.role("parameter", "buffer")]
            body = with_constants(self._programs["predict"], {name: weights[name] for name in names})
            session = open_session(body, "predict", self._threads, constant_weights=True)
            self._predictors.last = (weights, session)
        return session


def open_session(body: bytes, program: str, threads: int, *, constant_weights: bool = False) -> Any:
    """onnxruntime's session on a program. Raises UnloadableProgram."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The highest level re-lays tensors for convolutions with constant weights; where weights are inputs it costs 4-9 %.
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if constant_weights else levels.ORT_ENABLE_EXTENDED
    # A memory pattern is a second plan of the whole step, made after the first run, whose memory stays: twice the peak.
    options.enable_mem_pattern = False
    # Between two operators of a step, threads spin: waking them costs 8-17 % of a step. Between two steps they sleep.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return onnxruntime.InferenceSession(body, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises many classes of its own, and plain RuntimeError
        raise UnloadableProgram(
            f"onnxruntime {version()} can't load program {program} ({str(error)[:200]})",
            remedy="update onnxruntime to the version that the manifest asks for, or export the model again",
        ) from error


@contextmanager
def _clear_faults(program: str) -> Iterator[None]:
    """Turn whatever onnxruntime raises while a program runs into one of our errors."""
    try:
        yield
    except Exception as error:  # as above
        raise InvalidBundle(
            f"program {program} failed on onnxruntime {version()} ({str(error)[:200]})",
            remedy="check that the data have the shapes of the manifest; else export the model again",
        ) from error


def _initial(item: Any, carried: Mapping[str, Array]) -> Array:
    if item.name in carried:
        return np.array(carried[item.name], dtype=item.dtype, order="C")
    return np.zeros(tuple(int(d) for d in item.shape), item.dtype)


def _required(batch: Batch, name: str) -> float:
    if name not in batch.hyperparameters:
        raise InvalidTask(
            f"the program needs the hyperparameter {name!r}", remedy=f"set local.hyperparameters.{name} in the task"
        )
    return batch.hyperparameters[name]

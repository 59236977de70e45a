"""An engine whose runtime and programs are in a process of their own; to a round it is like any other.

    engine = SandboxedEngine(sandbox, "onnx", manifest, read)
    state = engine.start(weights)

Training states stay in that process. Where it ends, they are gone: the assignment fails, and the next one begins in
another process, in which the programs are opened again.
"""

import itertools
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core import strict
from fedrela.core.manifest import PROGRAMS, Manifest
from fedrela.core.protocol.programs import CARRIED, CHANGING
from fedrela.core.tensors import Array, Params, zeros
from fedrela.edge.engines.engine import Batch, StepTotals, from_batch, relabel_inputs
from fedrela.edge.sandbox.answers import REMEDY, EndedRuntime
from fedrela.edge.sandbox.channel import Placed, tables, write
from fedrela.edge.sandbox.process import Sandbox

# Steps of one request: what its owner asks of a device in between waits no longer than that.
AT_ONCE_SECONDS = 0.1
MOST_AT_ONCE = 64
AT_ONCE_BYTES = 1 << 22

_NUMBERS = itertools.count(1)


@dataclass(eq=False)
class SandboxedState:
    """A training state of the process that was the `generation`th."""

    number: int
    generation: int


class SandboxedEngine:
    """See `fedrela.edge.engines.engine.Engine`. `read` gives a program's verified bytes, each time a process opens it.

    Besides what the runtime's own engine raises, every method raises `EndedRuntime`.
    """

    def __init__(self, sandbox: Sandbox, runtime: str, manifest: Manifest, read: Callable[[str], bytes]) -> None:
        self.name, self.manifest = runtime, manifest
        self.version = sandbox.version(runtime)
        self._sandbox, self._read = sandbox, read
        self._number = next(_NUMBERS)
        self._calls = tables(manifest)
        self._changing = manifest.train_step.role(*CHANGING)
        self._states = itertools.count(1)
        self._gone: list[int] = []  # states that nobody holds any more
        self._generation = 0  # the process that has opened the programs
        self._at_once = 1  # steps
        self._held: tuple[int, Params | None] = (0, None)  # the process, and the weights that it predicts with
        weakref.finalize(self, sandbox.closed.append, self._number).atexit = False
        with sandbox.lock:
            self._open()

    def start(self, weights: Params) -> SandboxedState:
        """See `Engine.start`."""
        return self._new_state("start", self._listed(weights))

    def restore(self, weights: Params, snapshot: Mapping[str, Array]) -> SandboxedState:
        """See `Engine.restore`."""
        carried = (item.spec for item in self.manifest.train_step.role(*CARRIED))
        held = [snapshot[spec.name] if spec.name in snapshot else zeros([spec])[spec.name] for spec in carried]
        return self._new_state("restore", [*self._listed(weights), *held])

    def train_step(self, state: SandboxedState, batch: Batch) -> StepTotals:
        """See `Engine.train_step`."""
        return self.train_steps(state, iter([batch]), 1)[0]

    def train_steps(self, state: SandboxedState, batches: Iterator[Batch], most: int) -> list[StepTotals]:
        """See `Engine.train_steps`: as many as take `AT_ONCE_SECONDS`, since to wake the process takes as long as a
        small model's step.
        """
        call, placed, parts = self._calls["train_step"], list[Placed](), list[dict[str, Any]]()
        rates: dict[str, float] | None = None
        with self._sandbox.lock:
            request = self._request("train_step", state)
            arena, end = self._sandbox.arena(), 0
            for batch in itertools.islice(batches, min(most, self._at_once)):
                placed.append(arena.place(call, len(batch.y), end))
                end = placed[-1].end
                write(placed[-1].inputs, call.inputs, list(from_batch(self._changing, batch).values()), call.name)
                parts.append({"size": len(batch.y)})
                if rates != batch.hyperparameters:
                    rates = parts[-1]["rates"] = {name: float(rate) for name, rate in batch.hyperparameters.items()}
                if end > AT_ONCE_BYTES:
                    break
            began = time.monotonic()
            self._ask(request, parts)
            seconds = (time.monotonic() - began) / len(parts)
            self._at_once = max(1, min(MOST_AT_ONCE, int(AT_ONCE_SECONDS / max(seconds, 1e-9))))
            return [StepTotals(*map(float, one.outputs)) for one in placed]

    def weights(self, state: SandboxedState) -> Params:
        """See `Engine.weights`."""
        arrays = self._call("weights", (), state=state)
        return {spec.name: array for spec, array in zip(self.manifest.weights, arrays, strict=True)}

    def snapshot(self, state: SandboxedState) -> dict[str, Array]:
        """See `Engine.snapshot`."""
        specs = self._calls["snapshot"].outputs
        return {spec.name: array for spec, array in zip(specs, self._call("snapshot", (), state=state), strict=True)}

    def predict(self, weights: Params, x: Mapping[str, Array], randoms: Mapping[str, Array]) -> NDArray[np.float32]:
        """See `Engine.predict`."""
        items = self.manifest.predict.role("x", "random")
        arrays = [(x if item.role == "x" else randoms)[item.name] for item in items]
        size = next(len(array) for item, array in zip(items, arrays, strict=True) if item.role == "x")
        with self._sandbox.lock:
            self._open()
            generation, held = self._held
            if held is not weights or generation != self._generation:
                self._call("hold", self._listed(weights))
                self._held = (self._generation, weights)
            return np.asarray(self._call("predict", arrays, size)[0])

    def relabel(
        self,
        probabilities: NDArray[np.float32],
        labels: NDArray[np.int64],
        uniforms: NDArray[np.float32],
        threshold_percent: float,
    ) -> NDArray[np.int64]:
        """See `Engine.relabel`."""
        inputs = relabel_inputs(self.manifest, probabilities, labels, uniforms, threshold_percent)
        return np.asarray(self._call("relabel", [*inputs.values()], len(labels))[0])

    def run(self, program: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `Engine.run`."""
        call = self._calls[f"run {program}"]
        arrays = [inputs[spec.name] for spec in call.inputs]
        sized = (array for spec, array in zip(call.inputs, arrays, strict=True) if {"B", "N"} & set(spec.shape))
        results = self._call(call.name, arrays, len(next(sized)))
        return {spec.name: array for spec, array in zip(call.outputs, results, strict=True)}

    def _listed(self, weights: Params) -> list[Array]:
        return [weights[spec.name] for spec in self.manifest.weights]

    def _new_state(self, call: str, arrays: Sequence[Array]) -> SandboxedState:
        with self._sandbox.lock:
            self._open()
            state = SandboxedState(next(self._states), self._generation)
            self._call(call, arrays, state=state)
            weakref.finalize(state, self._gone.append, state.number).atexit = False
            return state

    def _call(
        self, name: str, arrays: Sequence[Array], size: int = 0, state: SandboxedState | None = None
    ) -> list[Any]:
        """One call on the opened programs; copies of what it gives."""
        call = self._calls[name]
        with self._sandbox.lock:
            request = self._request(name, state)
            placed = self._sandbox.arena().place(call, size)
            write(placed.inputs, call.inputs, arrays, name)
            self._ask(request, [{"size": size}])
            return [view.copy() for view in placed.outputs]

    def _request(self, name: str, state: SandboxedState | None) -> dict[str, Any]:
        """What every request says, once the programs are open. Raises EndedRuntime for a state that is gone."""
        self._open()
        request: dict[str, Any] = {"call": name, "engine": self._number}
        if state is not None:
            if state.generation != self._generation:
                raise EndedRuntime("the training state is gone with the process that held it", remedy=REMEDY)
            request["state"] = state.number
        return request

    def _ask(self, request: dict[str, Any], parts: list[dict[str, Any]]) -> None:
        gone = [self._gone.pop() for _ in range(len(self._gone))]
        self._sandbox.call({**request, "parts": parts, "gone": gone})

    def _open(self) -> None:
        """See to it that the process that runs now has opened the programs."""
        self._sandbox.hello()
        if self._generation == self._sandbox.generation:
            return
        bodies = [strict.to_json(self.manifest), *(self._read(program) for program in PROGRAMS)]
        request = {
            "call": "open",
            "engine": self._number,
            "runtime": self.name,
            "sizes": [len(body) for body in bodies],
        }
        self._sandbox.call(request, bodies)
        self._generation = self._sandbox.generation
        self._gone.clear()

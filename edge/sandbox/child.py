"""The process that owns a device's runtime: it loads the libraries, seals itself, and computes what it is told to.

    python -P -m fedrela.edge.sandbox.child SOCKET ARENA ARENA_BYTES MEMORY_BYTES THREADS PARENT RUNTIME...

Everything reaches it through one socket and the memory that it shares with the device (`fedrela.edge.sandbox.channel`);
it trusts the device and nobody trusts it. `PARENT` is the process that it must not outlive, 0 where the thread that
started it may end before.
"""

import ctypes
import json
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from fedrela.core.errors import MissingDependency, VerificationFailed
from fedrela.core.manifest import PROGRAMS, Manifest, parse_manifest
from fedrela.core.protocol.programs import CHANGING, ProgramInput
from fedrela.core.tensors import Array
from fedrela.edge.engines.engine import Batch, Engine
from fedrela.edge.sandbox import warm_up
from fedrela.edge.sandbox.channel import DONE, LOW_BITS, REPLY, REQUEST, Arena, Call, Placed, fault_reply, tables
from fedrela.edge.sandbox.seal import seal

_DIE_WITH_PARENT = 1  # of prctl


@dataclass
class Opened:
    """An engine, its calls, the training states that the device holds, and the weights that it predicts with."""

    engine: Engine
    calls: dict[str, Call]
    changing: tuple[ProgramInput, ...]  # of a training step, with every batch
    states: dict[int, Any] = field(default_factory=dict)
    held: dict[str, Array] = field(default_factory=dict)


@dataclass
class Runtime:
    """What the process holds."""

    arena: Arena
    threads: int
    engines: dict[int, Opened] = field(default_factory=dict)

    def answer(self, request: Mapping[str, Any], bodies: bytes) -> None:
        """Do what a request says; its results lie in the arena then."""
        for closed in request.get("closed", ()):
            self.engines.pop(closed, None)
        number = request["engine"]
        if request["call"] == "open":
            self.engines[number] = self.opened(request, bodies)
            return
        opened = self.engines[number]
        for state in request.get("gone", ()):
            opened.states.pop(state, None)
        call, at, asked = opened.calls[request["call"]], 0, request
        for part in request["parts"]:  # each a call of the same kind, on tensors that lie one behind the other
            placed = self.arena.place(call, part["size"], at)
            at = placed.end
            if "rates" in part:  # else those of the part before
                asked = {**request, **part}
            self.compute(opened, call, placed, asked)

    def compute(self, opened: Opened, call: Call, placed: Placed, request: Mapping[str, Any]) -> None:
        """One call."""
        answer: Answer = CALLS.get(call.name, run_program)
        results = answer(opened, call, placed.inputs, request)
        for view, spec, result in zip(placed.outputs, call.outputs, results, strict=True):
            array = np.asarray(result)
            if array.shape != view.shape or array.dtype != view.dtype:
                raise VerificationFailed(
                    f"{call.name} gave {spec.name[:100]!r} as {array.dtype.name} {array.shape[:16]}",
                    remedy="do not train with this program; export the model again",
                )
            view[...] = array

    def opened(self, request: Mapping[str, Any], bodies: bytes) -> Opened:
        """The engine of a bundle, from its manifest and its programs."""
        parts, at = [], 0
        for size in request["sizes"]:
            parts.append(bodies[at : at + size])
            at += size
        manifest = parse_manifest(parts[0])
        programs = dict(zip(PROGRAMS, parts[1:], strict=True))
        engine = make_engine(request["runtime"], manifest, programs, self.threads)
        return Opened(engine, tables(manifest), manifest.train_step.role(*CHANGING))


def make_engine(runtime: str, manifest: Manifest, programs: dict[str, bytes], threads: int) -> Engine:
    """The engine of one runtime, whose libraries are loaded by now."""
    if runtime == "onnx":
        from fedrela.edge.engines.onnx_engine import OnnxEngine

        return OnnxEngine(manifest, programs, threads=threads)
    from fedrela.edge.engines.executorch_engine import ExecutorchEngine

    return ExecutorchEngine(manifest, programs, threads=threads)


def _named(call: Call, inputs: list[Array]) -> dict[str, Array]:
    return {spec.name: array for spec, array in zip(call.inputs, inputs, strict=True)}


def start(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """A new training state."""
    opened.states[request["state"]] = opened.engine.start(_named(call, inputs))
    return []


def restore(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """A training state from a snapshot."""
    count = len(opened.engine.manifest.weights)
    pairs = [(spec.name, array) for spec, array in zip(call.inputs, inputs, strict=True)]
    opened.states[request["state"]] = opened.engine.restore(dict(pairs[:count]), dict(pairs[count:]))
    return []


def train_step(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Any]:
    """One step."""
    by_role: dict[str, dict[str, Array]] = {}
    for item, array in zip(opened.changing, inputs, strict=True):
        by_role.setdefault(item.role, {})[item.name] = array
    (y,), (weight,) = by_role["y"].values(), by_role["weight"].values()
    prior = next(iter(by_role.get("class_prior", {}).values()), None)
    batch = Batch(by_role["x"], y, weight, request["rates"], by_role.get("random", {}), prior)
    totals = opened.engine.train_step(opened.states[request["state"]], batch)
    return [np.float32(value) for value in (totals.loss_sum, totals.correct_sum, totals.weight_sum)]


def weights(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """A state's parameters and buffers."""
    return list(opened.engine.weights(opened.states[request["state"]]).values())


def snapshot(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """All that a state holds."""
    held = opened.engine.snapshot(opened.states[request["state"]])
    return [held[spec.name] for spec in call.outputs]


def hold(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """Weights for the predictions to come."""
    opened.held = {name: array.copy() for name, array in _named(call, inputs).items()}
    return []


def predict(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """Probabilities of one batch."""
    fed = _named(call, inputs)
    return [opened.engine.predict(opened.held, fed, fed)]


def relabel(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """New labels."""
    roles = {item.role: array for item, array in zip(opened.engine.manifest.relabel.inputs, inputs, strict=True)}
    threshold = float(roles["threshold_percent"])
    return [opened.engine.relabel(roles["probabilities"], roles["labels"], roles["uniforms"], threshold)]


def run_program(opened: Opened, call: Call, inputs: list[Array], request: Mapping[str, Any]) -> list[Array]:
    """One program on raw inputs."""
    results = opened.engine.run(call.name.removeprefix("run "), _named(call, inputs))
    return [results[spec.name] for spec in call.outputs]


Answer = Callable[[Opened, Call, list[Array], Mapping[str, Any]], list[Any]]
CALLS: Mapping[str, Answer] = {
    function.__name__: function for function in (start, restore, train_step, weights, snapshot, hold, predict, relabel)
}


def serve(requests: BinaryIO, socket: int, runtime: Runtime) -> None:
    """Answer requests until the device is gone."""
    number = 0
    while head := requests.read(REQUEST.size):
        length, bodies = REQUEST.unpack(head)
        number += 1
        try:
            request = json.loads(requests.read(length))
            runtime.answer(request, requests.read(bodies))
            reply = REPLY.pack(number & LOW_BITS, DONE, 0)
        except Exception as fault:  # whatever it is, the device is told and decides
            reply = fault_reply(number & LOW_BITS, fault)
        send(socket, reply)


def send(socket: int, body: bytes) -> None:
    """Write all of it."""
    while body:
        body = body[os.write(socket, body) :]


def die_with(parent: int) -> None:
    """Have the kernel end this process with that one."""
    if parent and sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(0)


def end_at_hang_up(socket: int) -> None:
    """End when the device does, even in the middle of a step: where the kernel wasn't asked to see to it."""
    hung_up = select.poll()
    hung_up.register(socket, 0)  # nothing but the other side's end

    def watch() -> None:
        hung_up.poll()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def main(words: list[str]) -> None:
    """Load, seal, say so, serve."""
    socket, arena, arena_bytes, memory_bytes, threads, parent = map(int, words[:6])
    die_with(parent)
    for number in (signal.SIGINT, signal.SIGTERM):  # they are for the device, which ends this process when it is done
        signal.signal(number, signal.SIG_IGN)
    versions, missing = {}, {}
    for runtime in words[6:]:
        try:
            versions[runtime] = warm_up.load(runtime, threads)
        except MissingDependency as fault:
            missing[runtime] = fault.problem
    shared, requests = Arena(arena, arena_bytes), os.fdopen(socket, "rb", closefd=False)
    os.close(arena)
    confinement = seal(memory_bytes=memory_bytes)
    hello = {"measures": confinement.measures, "reason": confinement.reason, "versions": versions, "missing": missing}
    body = json.dumps(hello).encode()
    send(socket, REPLY.pack(0, DONE, len(body)) + body)
    end_at_hang_up(socket)
    serve(requests, socket, Runtime(shared, threads))


if __name__ == "__main__":
    main(sys.argv[1:])

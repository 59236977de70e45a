"""What crosses between a device and its runtime's process: short frames over a socket, tensors in memory of both.

A request is a frame of JSON, perhaps followed by bodies; the answer is one of `REPLY`, with a text where a call failed.
Neither says anything of tensors: both sides know from the manifest which ones a call takes and gives, and where in the
arena they lie. So the device reads nothing that the process chose but values, of shapes that the device expects, and a
text of a bounded length.

    calls = tables(manifest)
    placed = arena.place(calls["train_step"], size=32)               # views, the same on both sides
"""

import math
import mmap
import os
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedrela.core.errors import (
    InvalidBundle,
    InvalidData,
    InvalidInput,
    InvalidTask,
    InvalidTensors,
    MissingDependency,
    VerificationFailed,
)
from fedrela.core.manifest import PROGRAMS, Manifest
from fedrela.core.protocol.programs import CARRIED, CHANGING, TOTALS
from fedrela.core.tensors import Array, TensorSpec
from fedrela.edge.engines.engine import UnloadableProgram

REQUEST = struct.Struct("<IQ")  # bytes of JSON, bytes of all bodies
REPLY = struct.Struct("<IBI")  # the request's number, how it went, bytes of text
LOW_BITS = 0xFFFFFFFF  # of a request's number, which both sides count
DONE = 0
# How a call failed is sent as a place in this list, from 1.
FAULTS: tuple[type[Exception], ...] = (
    UnloadableProgram,
    InvalidBundle,
    InvalidTask,
    InvalidTensors,
    InvalidData,
    InvalidInput,
    VerificationFailed,
    MissingDependency,
    MemoryError,
)
MOST_TEXT = 4096  # bytes of UTF-8
REMEDY = "\x1f"  # stands between what is wrong and what to do about it
ALIGNMENT = 64
MOST_PLACED = 512  # of places that are remembered


@dataclass(frozen=True, eq=False)
class Call:
    """The tensors of one kind of call, in order; "B" and "N" in a shape are the call's size."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def tables(manifest: Manifest) -> dict[str, Call]:
    """Every kind of call on a bundle's programs, by name."""
    weights = manifest.weights
    carried = tuple(item.spec for item in manifest.train_step.role(*CARRIED))
    changing = tuple(item.spec for item in manifest.train_step.role(*CHANGING))
    predicted = tuple(item.spec for item in manifest.predict.role("x", "random"))
    outputs = program_outputs(manifest)
    calls = [
        Call("start", weights, ()),
        Call("restore", (*weights, *carried), ()),
        Call("train_step", changing, tuple(outputs["train_step"][name] for name in TOTALS)),
        Call("weights", (), weights),
        Call("snapshot", (), carried),
        Call("hold", weights, ()),
        Call("predict", predicted, (outputs["predict"]["probabilities"],)),
        Call("relabel", _specs(manifest, "relabel"), (outputs["relabel"]["new_labels"],)),
    ]
    runs = [Call(f"run {name}", _specs(manifest, name), tuple(outputs[name].values())) for name in PROGRAMS]
    return {call.name: call for call in (*calls, *runs)}


def program_outputs(manifest: Manifest) -> dict[str, dict[str, TensorSpec]]:
    """What each program gives, as the contract of programs has it, by program and name."""
    carried = {f"new.{item.name}": item.shape for item in manifest.train_step.role(*CARRIED)}
    shapes: dict[str, dict[str, tuple[int | str, ...]]] = {
        "train_step": carried | dict.fromkeys(TOTALS, ()),
        "predict": {"probabilities": ("B", manifest.classes)},
        "relabel": {"new_labels": ("N",), "flip_rate": ("N",)},
    }
    return {
        program: {
            name: TensorSpec(name, shape, "int64" if name == "new_labels" else "float32")
            for name, shape in named.items()
        }
        for program, named in shapes.items()
    }


def _specs(manifest: Manifest, program: str) -> tuple[TensorSpec, ...]:
    return tuple(item.spec for item in getattr(manifest, program).inputs)


@dataclass(frozen=True, eq=False)
class Placed:
    """Where a call's tensors lie; what comes next may begin at `end`."""

    inputs: list[Array]
    outputs: list[Array]
    end: int


class Arena:
    """Memory that a device and its runtime's process share. It is as large as may ever be needed, and takes up as much
    as was ever used.
    """

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._memory = mmap.mmap(descriptor, size_bytes)
        self._known: dict[tuple[Call, int, int], Placed] = {}

    def place(self, call: Call, size: int, at: int = 0) -> Placed:
        """The call's inputs and outputs, each in its place, from byte `at` on. Raises InvalidBundle."""
        key = (call, size, at)
        if key not in self._known:
            if len(self._known) >= MOST_PLACED:
                self._known.clear()
            inputs, middle = self._views(call.inputs, size, at)
            outputs, end = self._views(call.outputs, size, middle)
            self._known[key] = Placed(inputs, outputs, end)
        return self._known[key]

    def _views(self, specs: Sequence[TensorSpec], size: int, at: int) -> tuple[list[Array], int]:
        views = []
        for spec in specs:
            shape = tuple(size if isinstance(dimension, str) else dimension for dimension in spec.shape)
            dtype = np.dtype(spec.dtype)
            at += -at % ALIGNMENT
            end = at + math.prod(shape) * dtype.itemsize
            if end > self.size_bytes:
                raise InvalidBundle(
                    f"what a program takes at once is more than {self.size_bytes} bytes",
                    remedy="raise max_memory_bytes in the device's settings, or lower the batch size",
                )
            views.append(np.ndarray(shape, dtype, self._memory, at))
            at = end
        return views, at


def arena_memory(size_bytes: int) -> int:
    """A descriptor of memory for an arena, which nobody who holds it can make larger or smaller."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.truncate(size_bytes)
            return os.dup(file.fileno())
    import fcntl

    descriptor = os.memfd_create("fedrela", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size_bytes)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def write(views: Sequence[Array], specs: Sequence[TensorSpec], arrays: Sequence[Array], what: str) -> None:
    """Copy arrays to their places. Raises InvalidBundle for one of another shape or dtype."""
    for view, spec, given in zip(views, specs, arrays, strict=True):
        array = np.asarray(given)
        if array.shape != view.shape or array.dtype != view.dtype:
            raise InvalidBundle(
                f"{what}: {spec.name[:100]!r} is {array.dtype.name} {array.shape}, not {view.dtype.name} {view.shape}",
                remedy="check that the data have the shapes of the manifest; else export the model again",
            )
        view[...] = array


def fault_reply(number: int, fault: Exception) -> bytes:
    """The answer to a call that failed."""
    place = next((at for at, kind in enumerate(FAULTS, 1) if type(fault) is kind), None)
    if place is None:
        place = FAULTS.index(InvalidBundle) + 1
        fault = InvalidBundle(
            f"the program can't be run ({type(fault).__name__}: {str(fault)[:200]})", remedy="export the model again"
        )
    text = getattr(fault, "problem", str(fault)) + REMEDY + getattr(fault, "remedy", "")
    body = text.encode(errors="replace")[:MOST_TEXT]
    return REPLY.pack(number, place, len(body)) + body


def fault_of(place: int, text: bytes) -> Exception:
    """The same on the device's side; the text is made fit for a terminal and a log."""
    problem, _, remedy = text.decode(errors="replace").partition(REMEDY)
    kind = FAULTS[place - 1]
    if kind is MemoryError:
        return MemoryError(_shown(problem))
    make: Any = kind
    made: Exception = make(_shown(problem), remedy=_shown(remedy))
    return made


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)[:1000]

"""A training state inside onnxruntime: its buffers are bound once, so that a step hands over nothing but the batch.

A step writes new values over the old ones where the program's graph makes that safe
(`fedrela.core.onnx_files.in_place`); any other tensor has two buffers, of which each step reads one and writes the
other.

    state = bind(session, {"w": w}, in_place=frozenset({"w"}), anchors={})
    state.feed({"x": pixels, "y": labels}, {"lr": 0.05})
    session.run_with_iobinding(state.binding)
    state.step_done()
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime

from fedrela.core.protocol.programs import TOTALS
from fedrela.core.tensors import Array


@dataclass
class OnnxState:
    """Two sets of buffers and the binding that reads each; `current` is the one that holds the newest values.

    A tensor that is updated in place is the same array in both; where all are, both bindings are one.
    """

    buffers: tuple[dict[str, Array], dict[str, Array]]
    bindings: tuple[Any, Any]
    totals: dict[str, Array]  # () float32 each, overwritten by every step
    anchors: dict[str, Array]
    current: int = 0
    rates: tuple[dict[str, Array], dict[str, Array]] = field(default_factory=lambda: ({}, {}))  # bound now
    _batch: dict[str, Array] = field(default_factory=dict)  # bound now

    @property
    def binding(self) -> Any:
        """What the next step runs on."""
        return self.bindings[self.current]

    @property
    def newest(self) -> dict[str, Array]:
        """The newest values, by input name."""
        return self.buffers[self.current]

    def feed(self, batch: Mapping[str, Array], rates: Mapping[str, float]) -> None:
        """Bind what changes with every step, and those rates () that have changed since this binding's last step."""
        binding, bound = self.binding, self.rates[self.current]
        self._batch = {name: np.asarray(array, order="C") for name, array in batch.items()}
        for name, array in self._batch.items():
            binding.bind_cpu_input(name, array)
        for name, rate in rates.items():
            if name not in bound or bound[name] != np.float32(rate):
                bound[name] = np.array(rate, np.float32)
                binding.bind_ortvalue_input(name, in_place(bound[name]))

    def again(self) -> "OnnxState":
        """A state in the same memory, for when this one is gone; it begins with `write`."""
        return OnnxState(self.buffers, self.bindings, self.totals, self.anchors, rates=self.rates)

    def write(self, first: Mapping[str, Array], anchors: Mapping[str, Array]) -> None:
        """Begin with `first`, zeros where it names nothing, and with these anchors."""
        for name, array in self.newest.items():
            array[...] = first.get(name, 0)
        for name, array in anchors.items():
            self.anchors[name][...] = array

    def step_done(self) -> None:
        """What was written is now the newest."""
        self.current = 1 - self.current


def bind(session: Any, first: dict[str, Array], updatable: frozenset[str], anchors: Mapping[str, Array]) -> OnnxState:
    """A state that begins with `first`, which it keeps. Tensors not in `updatable` get a second buffer."""
    second = {name: array if name in updatable else np.empty_like(array) for name, array in first.items()}
    totals = {name: np.zeros((), np.float32) for name in TOTALS}
    views = {name: in_place(array) for name, array in first.items()}
    others = {name: views[name] if name in updatable else in_place(array) for name, array in second.items()}
    constants = {name: np.asarray(array, order="C") for name, array in anchors.items()}
    fixed = {name: in_place(array) for name, array in constants.items()}
    written = {name: in_place(array) for name, array in totals.items()}
    there = _binding(session, views, others, fixed, written)
    if updatable.issuperset(first):
        rates: dict[str, Array] = {}
        return OnnxState((first, second), (there, there), totals, constants, rates=(rates, rates))
    return OnnxState((first, second), (there, _binding(session, others, views, fixed, written)), totals, constants)


def in_place(array: Array) -> Any:
    """The runtime's view of a C-ordered array's own memory. Whoever asks keeps the array: the views of older
    versions of onnxruntime (1.22 is one) do not, and a step would read what has come to lie there since.
    """
    assert array.flags.c_contiguous, "the view would be one of a copy"
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


def _binding(
    session: Any, read: dict[str, Any], written: dict[str, Any], anchors: dict[str, Any], totals: dict[str, Any]
) -> Any:
    """A binding that reads one set of buffers and writes the other."""
    binding = session.io_binding()
    for name, value in (read | anchors).items():
        binding.bind_ortvalue_input(name, value)
    for name, value in written.items():
        binding.bind_ortvalue_output("new." + name, value)
    for name, value in totals.items():
        binding.bind_ortvalue_output(name, value)
    return binding

"""Examples: a device's own labeled data as arrays, and the overlay of labels that a re-labeling laid over them.

The original labels are never overwritten: an overlay is a separate value, keyed by task, that says which label to train
on instead. It refers to samples by key, so that it stays right when data grow.

    >>> examples = Examples({"x": np.zeros((2, 1, 8, 8), np.uint8)}, np.array([0, 1]))
    >>> laid = Overlay.of(examples, np.array([1, 1]), generation=1)
    >>> laid.labels(examples).tolist(), examples.y.tolist()
    ([1, 1], [0, 1])
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedrela.core import tensors
from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData, InvalidTensors
from fedrela.core.tensors import Array, TensorSpec


@dataclass(frozen=True)
class Examples:
    """n labeled samples. `x` by input name, each (n, ...); `y` (n,) int64; `keys` (n,) uint64 names a sample for good.

    Without keys a sample is named by its position, which is right for data that only grow at the end. `notes` is what
    the owner should know of the data, such as how many files were left out; it is told to nobody else.
    """

    x: Mapping[str, Array]
    y: NDArray[np.int64]
    keys: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not len(self.keys):
            object.__setattr__(self, "keys", np.arange(len(self.y), dtype=np.uint64))

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of every value, to notice that data changed within one assignment. Stays on the device."""
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self.x):
            digest.update(name.encode() + str((self.x[name].shape, self.x[name].dtype)).encode())
            digest.update(np.ascontiguousarray(self.x[name]).data)
        digest.update(np.ascontiguousarray(self.y).data)
        digest.update(np.ascontiguousarray(self.keys).data)
        return digest.hexdigest()

    def take(self, rows: NDArray[np.integer]) -> "Examples":
        """The samples at `rows`, in that order."""
        return Examples({name: x[rows] for name, x in self.x.items()}, self.y[rows], self.keys[rows])


# Asked anew for each assignment, so that data may grow; the manifest says what the model takes.
DataSource = Callable[[Manifest], Examples]


def check(examples: Examples, manifest: Manifest) -> None:
    """Raise InvalidData unless the arrays are what the programs take and every label is a class of the manifest."""
    specs = {spec.name: spec for spec in manifest.x}
    if set(examples.x) != set(specs):
        raise InvalidData(
            f"the data have the inputs {sorted(examples.x)}", remedy=f"name them {', '.join(sorted(specs))}"
        )
    if not len(examples):
        raise InvalidData("there is no example", remedy="point to a folder or file that holds at least one")
    if len(np.unique(examples.keys)) != len(examples):
        raise InvalidData("two examples have the same key", remedy="name every sample differently")
    for name, spec in specs.items():
        _check_input(examples.x[name], spec, len(examples))
    labels = examples.y
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InvalidData(
            f"the labels have shape {labels.shape} and dtype {labels.dtype}", remedy="pass (n,) whole numbers"
        )
    if labels.min() < 0 or labels.max() >= manifest.classes:
        raise InvalidData(
            f"a label is outside 0..{manifest.classes - 1}",
            remedy="check the class order and the number of classes that the model was exported for",
        )


def _check_input(x: Array, spec: TensorSpec, samples: int) -> None:
    want = (samples, *spec.shape[1:])
    if x.shape != want:
        raise InvalidData(f"input {spec.name!r} has shape {x.shape}", remedy=f"make it {want}, one row per label")
    if x.dtype.name != spec.dtype:
        raise InvalidData(f"input {spec.name!r} is {x.dtype}", remedy=f"make it {spec.dtype}")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x.reshape(samples, -1)).all(axis=1))[0])
        raise InvalidData(
            f"sample {row} of input {spec.name!r} holds a value that is not finite", remedy="mend or remove that sample"
        )


@dataclass(frozen=True)
class Overlay:
    """Labels to train on instead of the originals, for the samples that were there when it was made."""

    generation: int  # which re-labeling made it; see fedrela.core.task.Relabel.generation
    keys: NDArray[np.uint64]  # (m,)
    relabeled: NDArray[np.int64]  # (m,)

    @classmethod
    def of(cls, examples: Examples, labels: NDArray[np.int64], *, generation: int) -> "Overlay":
        """The overlay that gives `labels` to `examples`; only labels that differ are kept."""
        changed = labels != examples.y
        return cls(generation, examples.keys[changed], np.asarray(labels[changed], np.int64))

    def labels(self, examples: Examples) -> NDArray[np.int64]:
        """The labels (n,) to train on: a new array. Samples that the overlay doesn't know keep their own."""
        laid = np.array(examples.y, np.int64)
        if len(self.keys):
            order = np.argsort(examples.keys, kind="stable")
            slots = np.minimum(np.searchsorted(examples.keys[order], self.keys), len(examples) - 1)
            rows = order[slots]
            known = examples.keys[rows] == self.keys
            laid[rows[known]] = self.relabeled[known]
        return laid

    def to_bytes(self) -> bytes:
        """For the device's own disk; never sent."""
        arrays = {"keys": self.keys.view(np.int64), "relabeled": self.relabeled}
        return tensors.to_bytes(arrays, {"generation": str(self.generation)})

    @classmethod
    def from_bytes(cls, body: bytes) -> "Overlay":
        """Raises InvalidTensors for a damaged file."""
        arrays, metadata = tensors.read(body), tensors.read_metadata(body)
        size = arrays.get("keys", np.empty(0)).shape[:1]
        tensors.check(arrays, (TensorSpec("keys", size, "int64"), TensorSpec("relabeled", size, "int64")))
        if not metadata.get("generation", "").isdigit():
            raise InvalidTensors("an overlay has no generation", remedy="delete it; the next round re-labels again")
        return cls(int(metadata["generation"]), arrays["keys"].view(np.uint64), arrays["relabeled"])

"""Examples: a device's own labeled data as arrays, and the overlay of labels that a re-labeling laid over them.

The original labels are never overwritten: an overlay is a separate value, keyed by task, that says which label to train
on instead. It refers to samples by key, so that it stays right when data grow.

    >>> examples = Examples({"x": np.zeros((2, 1, 8, 8), np.uint8)}, np.array([0, 1]))
    >>> laid = Overlay.of(examples, np.array([1, 1]), generation=1)
    >>> laid.labels(examples).tolist(), examples.y.tolist()
    ([1, 1], [0, 1])
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core import tensors
from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData, InvalidTensors
from fedrela.core.tensors import Array, TensorSpec
from fedrela.edge.training import classes, contradictions, dtypes, sample_keys


@dataclass(frozen=True)
class Examples:
    """n labeled samples: `x` by input name, each (n, ...), and `y` (n,), class numbers or the model's names of classes.

    `ids` (n,), whole numbers or texts, names each sample for good, where there is such a thing. Without them a sample
    is named by its values (see `fedrela.edge.training.sample_keys`), so that rows may come, go and move. `notes` is
    what the owner should know of the data, such as how many files were left out; it is told to nobody else. `names`
    (n,) are where the owner finds each sample, its file or its row; without them it is its number, from 0.
    """

    x: Mapping[str, Array]
    y: NDArray[Any]  # int64 once they are checked
    ids: NDArray[Any] | None = None
    former_keys: NDArray[np.uint64] | None = None  # (n,), how version 0.1 named the samples; None: by row
    notes: tuple[str, ...] = ()
    names: Sequence[str] | None = None
    formerly_begun: bool = False  # version 0.1 began an assignment on these very samples

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """(n,): names a sample for good. Stays on the device."""
        return sample_keys.of_digests(self._digests) if self.ids is None else sample_keys.of_ids(self.ids)

    @cached_property
    def contradicting(self) -> list[list[int]]:
        """Rows of samples that have exactly each other's values, and not all the same label."""
        return contradictions.groups(self._digests, self.y.tolist())

    def named(self, row: int) -> str:
        """How the owner finds a sample in the data. Stays on the device."""
        return self.names[row] if self.names is not None else f"sample {row}"

    @cached_property
    def _digests(self) -> list[bytes]:
        return sample_keys.digests(self.x, len(self))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of every value, to notice that data changed within one assignment. Stays on the device."""
        keys = self.formerly().keys if self.formerly_begun else self.keys
        digest = hashlib.blake2b(digest_size=16)
        for name in sorted(self.x):
            digest.update(name.encode() + str((self.x[name].shape, self.x[name].dtype)).encode())
            digest.update(np.ascontiguousarray(self.x[name]).data)
        digest.update(np.ascontiguousarray(self.y).data)
        digest.update(np.ascontiguousarray(keys).data)
        return digest.hexdigest()

    def take(self, rows: NDArray[np.integer]) -> "Examples":
        """The samples at `rows`, in that order, by the keys that they have here."""
        x = {name: x[rows] for name, x in self.x.items()}
        return Examples(x, self.y[rows], self.keys[rows], self.formerly().keys[rows])

    def formerly(self) -> "Examples":
        """The same samples by the keys of version 0.1."""
        rows = np.arange(len(self), dtype=np.uint64)
        return Examples(self.x, self.y, rows if self.former_keys is None else self.former_keys)


# Asked anew for each assignment, so that data may grow; the manifest says what the model takes.
DataSource = Callable[[Manifest], Examples]


def check(examples: Examples, manifest: Manifest) -> Examples:
    """The examples as the programs take them: `x` in the manifest's dtypes, `y` class numbers as int64.

    The one door for every source: what converts exactly is converted, everything else raises InvalidData.
    """
    specs = {spec.name: spec for spec in manifest.x}
    if set(examples.x) != set(specs):
        raise InvalidData(
            f"the data have the inputs {sorted(examples.x)}", remedy=f"name them {', '.join(sorted(specs))}"
        )
    labels = classes.checked(examples.y, manifest.class_names, manifest.classes)
    if not len(labels):
        raise InvalidData("there is no example", remedy="point to a folder or file that holds at least one")
    x = {name: _input(examples.x[name], spec, len(labels)) for name, spec in specs.items()}
    return replace(examples, x=x, y=labels, ids=None if examples.ids is None else _ids(examples.ids, len(labels)))


def _ids(given: Any, samples: int) -> NDArray[np.uint64]:
    """Declared ids as keys. Raises InvalidData."""
    keys = sample_keys.of_ids(np.asarray(given))
    if len(keys) != samples:
        raise InvalidData(f"there are {len(keys)} ids for {samples} labels", remedy="give every sample an id")
    if len(np.unique(keys)) != samples:
        raise InvalidData("two examples have the same key", remedy="name every sample differently")
    return keys


def _input(given: Any, spec: TensorSpec, samples: int) -> Array:
    """One input in the program's dtype. Raises InvalidData."""
    want = (samples, *spec.shape[1:])
    try:
        x = np.asarray(given)
    except Exception as error:  # what numpy raises for ragged lists and foreign objects differs by its version
        raise InvalidData(f"input {spec.name!r} is no array ({error})", remedy=f"make it {want}") from error
    if x.shape != want:
        raise InvalidData(f"input {spec.name!r} has shape {x.shape}", remedy=f"make it {want}, one row per label")
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        row = int(np.flatnonzero(~np.isfinite(x.reshape(samples, -1)).all(axis=1))[0])
        raise InvalidData(
            f"sample {row} of input {spec.name!r} holds a value that is not finite", remedy="mend or remove that sample"
        )
    exact = dtypes.exactly(x, spec.dtype)
    if exact is None:
        raise InvalidData(
            f"input {spec.name!r} is {x.dtype}, which {spec.dtype} can't hold exactly", remedy=f"make it {spec.dtype}"
        )
    return exact


@dataclass(frozen=True)
class Overlay:
    """Labels to train on instead of the originals, for the samples that were there when it was made."""

    generation: int  # which re-labeling made it; see fedrela.core.task.Relabel.generation
    keys: NDArray[np.uint64]  # (m,)
    relabeled: NDArray[np.int64]  # (m,)
    former: bool = False  # made by version 0.1, whose keys were others: see fedrela.edge.training.former

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
        keyed = {} if self.former else {"keys": "sample"}
        return tensors.to_bytes(arrays, {"generation": str(self.generation), **keyed})

    @classmethod
    def from_bytes(cls, body: bytes) -> "Overlay":
        """Raises InvalidTensors for a damaged file."""
        arrays, metadata = tensors.read(body), tensors.read_metadata(body)
        size = arrays.get("keys", np.empty(0)).shape[:1]
        tensors.check(arrays, (TensorSpec("keys", size, "int64"), TensorSpec("relabeled", size, "int64")))
        if not metadata.get("generation", "").isdigit():
            raise InvalidTensors("an overlay has no generation", remedy="delete it; the next round re-labels again")
        keys, former = arrays["keys"].view(np.uint64), "keys" not in metadata
        return cls(int(metadata["generation"]), keys, arrays["relabeled"], former)

"""CIFAR-10 and CIFAR-100, the "python version": pickled batches, read without running anything that is in them.

The batches are pickles of dicts, lists, bytes and uint8 arrays (https://www.cs.toronto.edu/~kriz/cifar.html); the
unpickler here can build nothing else.
"""

import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array
from fedrela.edge.sources import images
from fedrela.edge.sources.pickled_arrays import PickledArray, PickledDtype, reconstruct
from fedrela.edge.training import classes
from fedrela.edge.training.examples import DataSource, Examples

_FRAME_HEAD_BYTES = 9  # its opcode, and its length in eight bytes
BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "train")

# What numpy arrays and latin-1 bytes are pickled as, under the names of numpy 1 and 2; what stands for each here.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): reconstruct,
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): PickledDtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """What a pickle of protocol 2 says instead of a bytes literal."""
    return text.encode("latin1")


def _check_spelling(body: bytes) -> None:
    """Raise ValueError for what the unpickler, written in C, would not mind.

    A value in a place beyond all places: memory is taken up to there, 16 bytes for each, and a damaged file of a few
    bytes may name any place below four thousand million. A frame (PEP 3154) that ends in the middle of something.
    """
    frame_end = 0
    for code, argument, start in pickletools.genops(body):
        assert start is not None
        if code.name.endswith("PUT") and int(argument or 0) > len(body):
            raise ValueError("a value has no place")
        if start >= frame_end > 0:
            if start > frame_end:
                raise ValueError("a frame ends within a value")
            frame_end = 0
        if code.name == "FRAME":
            if frame_end:
                raise ValueError("a frame begins within another")
            frame_end = start + _FRAME_HEAD_BYTES + int(argument or 0)
            if frame_end > len(body):
                raise ValueError("a frame is longer than the file")


def find(folder: Path) -> list[Path]:
    """The training batches in a folder."""
    return [folder / name for name in BATCHES if (folder / name).is_file()]


def read(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (n, 3, 32, 32) and labels (n,) of all training batches. Raises InvalidData."""
    parts = [read_batch(path) for path in find(folder)]
    if not parts:
        raise InvalidData(f"{folder} holds no CIFAR batch", remedy="unpack the python version of CIFAR there")
    return np.concatenate([pixels for pixels, _ in parts]), np.concatenate([labels for _, labels in parts])


def read_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """One batch: CIFAR-10's `labels` or CIFAR-100's `fine_labels`. Raises InvalidData for anything else."""
    try:
        body = path.read_bytes()
        _check_spelling(body)
        batch = _ArraysOnly(io.BytesIO(body), encoding="bytes").load()
        pixels = _array(batch[b"data"])
        labels = _array(batch[b"fine_labels"] if b"fine_labels" in batch else batch[b"labels"])
    except Exception as error:  # damaged pickles raise nearly anything
        raise InvalidData(
            f"{path} is not a CIFAR batch ({type(error).__name__}: {str(error)[:100]})", remedy="download it again"
        ) from error
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072 or labels.shape != (len(pixels),):
        raise InvalidData(f"{path} holds arrays of other shapes than CIFAR's", remedy="download it again")
    if labels.dtype.kind not in "iu":
        raise InvalidData(f"{path} holds labels that are no numbers", remedy="download it again")
    return pixels.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _array(value: Any) -> Array:
    return value.values() if isinstance(value, PickledArray) else np.asarray(value)


def source(folder: Path) -> DataSource:
    """What a device asks for examples."""

    def load(manifest: Manifest) -> Examples:
        pixels, labels = read(folder)
        spec = images.image_spec(manifest)
        y = classes.numbers(labels, manifest.class_names, manifest.classes)
        return Examples({spec.name: images.fit_all(pixels, spec, manifest.preprocessing)}, y)

    return load

"""What the fleet's devices hold, and the balanced test set that global models are evaluated on.

>>> digits = load("digits", test_per_class=40, seed=1)
>>> digits.x_test.shape, digits.x_test.dtype.name
((400, 1, 8, 8), 'uint8')
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrela.core import references
from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData, MissingDependency
from fedrela.core.streams import derive, permutation
from fedrela.core.tensors import Array
from fedrela.edge.training import classes
from fedrela.emulator.data import own_pictures

USUAL_TEST_PER_CLASS = 40


@dataclass(frozen=True)
class Dataset:
    """Training part x (n, ...), y (n,) and test part, with labels in 0..classes-1."""

    x: Array
    y: NDArray[np.int64]
    x_test: Array
    y_test: NDArray[np.int64]
    classes: int


def load(
    name: str, *, test_per_class: int | None, seed: int, folder: Path = Path(), manifest: Manifest | None = None
) -> Dataset:
    """A dataset by name ("digits"), by path of an .npz or of pictures, or from a function "module:function".

    Pictures, a folder or a .zip of class folders, are read for the model of `manifest`. Its classes are the dataset's,
    and labels are taken as a device takes them: those of an .npz by name, if names are numbers.
    An .npz or a function gives x, y and, if it has one, a test part x_test, y_test (a function: a mapping or a tuple
    of two or four arrays). Without a test part, `test_per_class` samples of each class are held out, chosen by `seed`;
    None: 40, or a quarter of the rarest class where that is less. Raises InvalidData.
    """
    if name == "digits":
        arrays = _digits()
    elif name.endswith(".npz"):
        arrays = _npz(folder / name)
    elif manifest is not None and own_pictures.is_pictures(folder / name):
        arrays = own_pictures.load(folder / name, manifest)
    elif ":" in name:
        arrays = _call(name)
    else:
        raise InvalidData(
            f"there is no dataset {name!r}",
            remedy='use "digits", the path of an .npz or of a folder of pictures, or "module:function"',
        )
    parts = [(np.asarray(x), _labels(y, manifest, name)) for x, y in zip(arrays[::2], arrays[1::2], strict=True)]
    for x, y in parts:
        if len(x) != len(y) or len(y) == 0:
            raise InvalidData(f"{name} has {len(x)} examples and {len(y)} labels", remedy="give each example one label")
    count = manifest.classes if manifest is not None else max(int(y.max()) for _, y in parts) + 1
    if len(parts) == 1:
        names = manifest.class_names if manifest is not None else ()
        held_out = _usual_hold_out(parts[0][1]) if test_per_class is None else test_per_class
        return _hold_out(*parts[0], count, held_out, seed, names)
    return Dataset(*parts[0], *parts[1], count)


def _digits() -> tuple[Array, ...]:
    """scikit-learn's 1 797 handwritten digits, 8x8; gray levels 0..16 become 0..255."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingDependency(
            "the digits come with scikit-learn, which is not installed", remedy="run: pip install 'fedrela[emulator]'"
        ) from error
    digits = load_digits()
    pixels = np.round(digits.images * (255 / 16)).astype(np.uint8)
    return pixels[:, None], digits.target


def _npz(path: Path) -> tuple[Array, ...]:
    if not path.is_file():
        raise InvalidData(f"there is no file {path}", remedy="correct data.dataset in the scenario")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception as error:  # numpy's own, zipfile's and zlib's, by where the file is damaged
        raise InvalidData(
            f"{path} can't be read ({error})", remedy="write it again: numpy.savez, of arrays without objects"
        ) from error
    return _pick(arrays, str(path))


def _call(name: str) -> tuple[Array, ...]:
    arrays = references.load(name)()
    return _pick(arrays, name) if isinstance(arrays, dict) else tuple(arrays)


def _pick(arrays: dict[str, Array], name: str) -> tuple[Array, ...]:
    keys = ("x", "y", "x_test", "y_test") if "x_test" in arrays else ("x", "y")
    missing = [key for key in keys if key not in arrays]
    if missing:
        raise InvalidData(f"{name} has no {', '.join(missing)}", remedy="store x, y and, if any, x_test, y_test")
    return tuple(arrays[key] for key in keys)


def _labels(values: Array, manifest: Manifest | None, name: str) -> NDArray[np.int64]:
    """Class numbers, as a device has them: what an .npz holds are labels, all else gives class numbers."""
    if manifest is not None:
        read = classes.numbers if name.endswith(".npz") else classes.checked
        return read(values, manifest.class_names, manifest.classes)
    labels = np.asarray(values)
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer) or (len(labels) and labels.min() < 0):
        raise InvalidData("labels are not a list of whole numbers >= 0", remedy="number the classes from 0")
    return labels.astype(np.int64)


def _usual_hold_out(y: NDArray[np.int64]) -> int:
    """How many of each class to evaluate on where nobody said: no rare class may lose more than a quarter by it."""
    return max(1, min(USUAL_TEST_PER_CLASS, int(np.bincount(y).min()) // 4))


def _hold_out(x: Array, y: NDArray[np.int64], count: int, per_class: int, seed: int, names: tuple[str, ...]) -> Dataset:
    """Move `per_class` random samples of each of `count` classes into the test part; at least one of each stays."""
    test = np.zeros(len(y), bool)
    for label in range(count):
        members = np.flatnonzero(y == label)
        if len(members) <= per_class:
            raise InvalidData(
                f"class {names[label] if names else label} has {len(members)} samples, {per_class} are to be held out",
                remedy="lower data.test_per_class if it is above 1, add samples of that class, "
                "or give the dataset a test part of its own",
            )
        order = permutation(derive(b"fedrela emulator", seed, "hold-out", label), len(members))
        test[members[order[:per_class]]] = True
    return Dataset(x[~test], y[~test], x[test], y[test], count)


def share(dataset: Dataset, folder: Path) -> None:
    """Write the arrays to `folder`, for `shared` in other processes."""
    for name in ("x", "y", "x_test", "y_test"):
        np.save(folder / f"{name}.npy", getattr(dataset, name), allow_pickle=False)
    (folder / "classes").write_text(str(dataset.classes))


def shared(folder: Path) -> Dataset:
    """What `share` wrote, mapped into memory: all processes together hold it once."""
    x, x_test = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("x", "x_test"))
    y, y_test = (np.load(folder / f"{name}.npy") for name in ("y", "y_test"))
    return Dataset(x, y, x_test, y_test, int((folder / "classes").read_text()))

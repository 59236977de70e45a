"""Images by path, as arrays: a training part to make long-tailed, and a test part that stays balanced.

    "digits"                       scikit-learn's bundled 8x8 digits
    a folder or a .zip             with train/<class>/*.png|jpg and test/<class>/..., or class folders alone
    a folder or a .zip of IDX      MNIST, Fashion-MNIST: train-images-idx3-ubyte(.gz) and the three beside it
    a folder of python batches     cifar-10-batches-py or cifar-100-python
    a .zip of tables               a CSV for each owner, its last column `label`: WISDM by person, heart by hospital
    a .csv                         of all owners; `data.owner_column` and `data.label_column` name two of its columns
    an .npz                        with x, y and, if any, x_test, y_test

Decoded images are kept as .npz in a cache folder, named by path, size and time, so that they are decoded once.
"""

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np

from fedrela.core.bundle import Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array, TensorSpec
from fedrela.emulator.data import datasets as emulated
from fedrela.emulator.data.datasets import Dataset
from fedrela.study.config import DatasetLocation
from fedrela.study.data import images, people
from fedrela.study.data.prepared import Prepared

REMEDY = """put it there, or say where it is with --data PATH or data.path in the study's file; it is one of
  CIFAR-10 or CIFAR-100: https://www.cs.toronto.edu/~kriz/cifar.html (python version), unpacked
  Fashion-MNIST: https://github.com/zalandoresearch/fashion-mnist (four .gz files), in one folder or .zip
  MNIST: the same four files, https://yann.lecun.com/exdb/mnist
  a folder or .zip of class folders, train/<class>/*.png and test/<class>/*.png
  an .npz with x, y, x_test, y_test"""

# Of a model's inputs, as `fedrela export --input` takes them: the exporter itself would bring PyTorch along.
_PICTURES = re.compile(r"(?:\w+=)?uint8:([13])x([0-9]+)x([0-9]+)")


def prepare(data: DatasetLocation, model_input: str, folder: Path, cache: Path) -> Prepared:
    """Load `data` (its path relative to `folder`), from the cache if it was loaded before. Raises InvalidData.

    Pictures are made as on a device, for a model whose input is `model_input`, such as "uint8:3x32x32".
    """
    source = _source(data, folder)
    cache.mkdir(parents=True, exist_ok=True)
    npz = cache / f"{data.name}-{_stamp(data, model_input, source)}.npz"
    if not npz.exists():
        temporary = npz.with_suffix(".part.npz")
        np.savez(temporary, allow_pickle=False, **_arrays(data, model_input, source, temporary))
        temporary.replace(npz)
    prepared = opened(npz.resolve(), "")
    return dataclasses.replace(prepared, sha256=fingerprint(prepared))


def opened(npz: Path, sha256: str) -> Prepared:
    """A prepared dataset from its file; `sha256` is what `prepare` found."""
    with np.load(npz, allow_pickle=False) as archive:
        owners = archive.get("owners")
    return Prepared(emulated.load(str(npz), test_per_class=0, seed=0), npz, sha256, owners)


def fingerprint(prepared: Prepared) -> str:
    """SHA-256 over shapes, dtypes and values: the same images under another path are the same data."""
    digest, dataset = hashlib.sha256(), prepared.dataset
    owners = () if prepared.owners is None else (prepared.owners,)
    for array in (dataset.x, dataset.y, dataset.x_test, dataset.y_test, *owners):
        digest.update(f"{array.shape} {array.dtype} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _source(data: DatasetLocation, folder: Path) -> Path | None:
    if data.path == "digits":
        return None
    path = Path(data.path).expanduser()
    path = path if path.is_absolute() else folder / path
    if not path.exists():
        raise InvalidData(f"the dataset {data.name!r} is not at {path}", remedy=REMEDY)
    return path


def _stamp(data: DatasetLocation, model_input: str, source: Path | None) -> str:
    """Changes when the files may have changed: path, size and time of the source and of all that lies below it."""
    identity = [data.path, str(data.test_per_class), *data.owners, "binary" * data.binary, data.owner_column]
    identity += [data.label_column, model_input]
    if source is not None:
        inside = sorted(source.rglob("*")) if source.is_dir() else []
        identity += [f"{item.resolve()} {item.stat().st_size} {item.stat().st_mtime_ns}" for item in (source, *inside)]
    return hashlib.sha256("\n".join(identity).encode()).hexdigest()[:12]


def _arrays(data: DatasetLocation, model_input: str, source: Path | None, scratch: Path) -> dict[str, Array]:
    """What the .npz holds: a test part, or the samples' owners."""
    tables = _tables(data, source) if source is not None else {}
    if tables:
        owned = people.chosen(people.read(tables), data.owners, binary=data.binary)
        return {"x": owned.x, "y": owned.y, "owners": owned.owners}
    loaded = _load(data, model_input, source, scratch)
    return {"x": loaded.x, "y": loaded.y, "x_test": loaded.x_test, "y_test": loaded.y_test}


def _tables(data: DatasetLocation, source: Path) -> dict[str, str]:
    if data.owner_column:
        return people.by_column(source, data.owner_column, data.label_column)
    return people.tables(source)


def _sizes(model_input: str) -> images.Sizes | None:
    """How a device makes its pictures that is given the model as the study exports it."""
    pictures = _PICTURES.fullmatch(model_input)
    if pictures is None:
        return None
    channels, height, width = (int(size) for size in pictures.groups())
    how = Preprocessing("image", grayscale=channels == 1, fit="crop")
    return TensorSpec("x", ("B", channels, height, width), "uint8"), how


def _load(data: DatasetLocation, model_input: str, source: Path | None, scratch: Path) -> Dataset:
    if source is None:
        return emulated.load("digits", test_per_class=data.test_per_class, seed=0)
    if source.suffix == ".npz":
        return emulated.load(str(source.resolve()), test_per_class=data.test_per_class, seed=0)
    train, test = images.read(source, _sizes(model_input))
    if test is None:
        np.savez(scratch, x=train[0], y=train[1])
        return emulated.load(str(scratch.resolve()), test_per_class=data.test_per_class, seed=0)
    return Dataset(*train, *test, int(max(train[1].max(), test[1].max())) + 1)

"""A folder or zip of pictures as a fleet's data, read as a device reads it: for the model's size and classes.

photos/cats/one.jpg             `test_per_class` pictures of each class are held out for evaluating
photos/train/cats, photos/test/cats     what lies in `test` is the test part
"""

from pathlib import Path

import numpy as np

from fedrela.core.bundle import Manifest
from fedrela.core.data.class_folders import OTHER_PARTS
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array
from fedrela.edge.sources import open_source
from fedrela.edge.training import examples


def is_pictures(path: Path) -> bool:
    """Whether a dataset's path is such a folder or zip."""
    return path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip")


def load(path: Path, manifest: Manifest) -> tuple[Array, ...]:
    """x, y of the training part and, where there is a folder for it, of the test part. Raises InvalidData."""
    test = _test_part(path)
    return _read(path, manifest) + (_read(test, manifest) if test is not None else ())


def _test_part(path: Path) -> Path | None:
    """A folder `test` or the like beside the folder `train`."""
    folders = {entry.name: entry for entry in path.iterdir() if entry.is_dir()} if path.is_dir() else {}
    named = [folders[name] for name in sorted(OTHER_PARTS & set(folders))]
    return named[0] if "train" in folders and named else None


def _read(path: Path, manifest: Manifest) -> tuple[Array, Array]:
    read = examples.check(open_source(str(path))(manifest), manifest)
    if len(read.x) != 1:
        raise InvalidData("the model takes several inputs", remedy='give data.dataset as "module:function"')
    (x,) = read.x.values()
    return x, np.asarray(read.y)

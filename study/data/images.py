"""Image collections on disk as arrays: x (n, channels, height, width) uint8 and y (n,) int64, classes by name.

Reads class folders and IDX files, each also in a .zip as it comes, and CIFAR's python batches; a batch may hold arrays
and plain values only, and no code of it is run. Pictures become pixels as on a device: turned upright, in the model's
size.
"""

import gzip
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fedrela.core.bundle import Preprocessing
from fedrela.core.data import class_folders
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import TensorSpec
from fedrela.edge.sources import cifar
from fedrela.edge.sources import images as as_devices

Body = Callable[[str], bytes]  # a file's, by its name in a folder or an archive
Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
Sizes = tuple[TensorSpec, Preprocessing]  # the model's input (B, channels, height, width), and how pictures come to it
UNPACKED = ("cifar-10-batches-py", "cifar-100-python")  # what CIFAR's archives unpack to


def read(source: Path, sizes: Sizes | None) -> tuple[Part, Part | None]:
    """Training part and test part (None where the source has none), in the model's size.

    `sizes` is None for a model that takes no pictures: arrays are left as they are, and class folders refused. Raises
    InvalidData.
    """
    train, test = _read(source, sizes)
    return _fitted(train, sizes), _fitted(test, sizes) if test is not None else None


def _fitted(part: Part, sizes: Sizes | None) -> Part:
    return part if sizes is None else (as_devices.fit_all(part[0], *sizes), part[1])


def _read(source: Path, sizes: Sizes | None) -> tuple[Part, Part | None]:
    if source.is_file():
        if source.suffix != ".zip":
            raise InvalidData(f"{source.name} is no dataset", remedy="point to a folder, a .zip or an .npz")
        try:
            with zipfile.ZipFile(source) as archive:
                return _files(archive.namelist(), archive.read, sizes)
        except zipfile.BadZipFile as error:
            raise InvalidData(f"{source.name} is damaged ({error})", remedy="fetch it again") from error
    unpacked = [source / name for name in UNPACKED if (source / name).is_dir()]
    if len(unpacked) == 1:
        return _read(unpacked[0], sizes)
    if (source / "data_batch_1").is_file():
        return _cifar(source, [f"data_batch_{n}" for n in range(1, 6)]), _cifar(source, ["test_batch"])
    if (source / "train").is_file():
        return _cifar(source, ["train"]), _cifar(source, ["test"])
    names = sorted(path.relative_to(source).as_posix() for path in _below(source, ()))
    return _files(names, lambda name: (source / name).read_bytes(), sizes)


def _below(folder: Path, within: tuple[Path, ...]) -> Iterator[Path]:
    """The files of a folder. Links are followed, as on a device, but into none of those that this one lies `within`."""
    within = (*within, folder.resolve())
    for path in folder.iterdir():
        if path.is_file():
            yield path
        elif path.is_dir() and path.resolve() not in within:
            yield from _below(path, within)


def _files(names: list[str], body: Body, sizes: Sizes | None) -> tuple[Part, Part | None]:
    if _idx(names, "train-images") is not None:
        return _idx_part(names, body, "train"), _idx_part(names, body, "t10k")
    return _class_folders(names, body, sizes)


def _class_folders(names: Iterable[str], body: Body, sizes: Sizes | None) -> tuple[Part, Part | None]:
    images = [path for name in sorted(names) if _is_picture(path := PurePosixPath(name))]
    if not images or any(len(path.parts) < 2 for path in images):
        raise InvalidData(
            f"there are no class folders among {len(images)} pictures", remedy="put images into one folder per class"
        )
    tests = [path for path in images if "test" in path.parts[:-2]]
    trains = [path for path in images if "test" not in path.parts[:-2]]
    classes = sorted({path.parts[-2] for path in images})
    if sizes is None:
        raise InvalidData("the model takes no pictures", remedy='give it an input such as "uint8:3x32x32", or an .npz')
    return _decode(trains, classes, body, sizes), _decode(tests, classes, body, sizes) if tests else None


def _is_picture(path: PurePosixPath) -> bool:
    """As on a device, what is hidden or made by a system is none."""
    return path.suffix.lower() in class_folders.SUFFIXES and not any(map(class_folders.is_left_out, path.parts))


def _decode(paths: list[PurePosixPath], classes: list[str], body: Body, sizes: Sizes) -> Part:
    if not paths:
        raise InvalidData("there is no training image", remedy="put them into train/<class>/")
    pixels = [as_devices.decode(body(str(path)), class_folders.shown(str(path)), *sizes) for path in paths]
    return np.stack(pixels), np.array([classes.index(path.parts[-2]) for path in paths], np.int64)


def _idx(names: Iterable[str], stem: str) -> str | None:
    """The file of that stem that lies highest."""
    paths = [PurePosixPath(name) for name in names if PurePosixPath(name).name.startswith(stem)]
    return min(map(str, paths), key=lambda name: (name.count("/"), name), default=None)


def _idx_part(names: list[str], body: Body, part: str) -> Part:
    images, labels = _idx_array(names, body, f"{part}-images", 3), _idx_array(names, body, f"{part}-labels", 1)
    if len(images) != len(labels):
        raise InvalidData(f"{part}: {len(images)} images and {len(labels)} labels", remedy="fetch the files again")
    return images[:, None], labels.astype(np.int64)


def _idx_array(names: list[str], body: Body, stem: str, dimensions: int) -> NDArray[np.uint8]:
    """One IDX file of bytes: magic 00 00 08 and the number of dimensions, the sizes big-endian, then the values."""
    name = _idx(names, stem)
    if name is None:
        raise InvalidData(f"there is no {stem}-idx{dimensions}-ubyte", remedy="put all four files there")
    try:
        content = gzip.decompress(body(name)) if name.endswith(".gz") else body(name)
        if content[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError("not an IDX file of bytes")
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise InvalidData(f"{PurePosixPath(name).name} is damaged ({error})", remedy="fetch it again") from error


def _cifar(folder: Path, names: list[str]) -> Part:
    """CIFAR's batches, each as a device reads it."""
    pixels, labels = zip(*(cifar.read_batch(folder / name) for name in names), strict=True)
    return np.concatenate(pixels), np.concatenate(labels)

"""Folders and zip files of class folders: `cats/one.jpg` is an image of the class `cats`. Decoded by Pillow.

A decoded image is kept in memory until its file changes, so that a round over a large folder decodes only what is new.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedrela.core.bundle import Manifest, Preprocessing
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array, TensorSpec
from fedrela.edge.sources import classes, picture_files, pictures
from fedrela.edge.training.examples import DataSource, Examples

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff"})
MAX_FILE_BYTES = 64_000_000  # of one image in a zip, unpacked
# What reading a file or a member of a zip raises; RuntimeError: one that is encrypted or packed in an unknown way.
DAMAGED = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Entry:
    """One image: its path inside the data ("cats/one.jpg"), a stamp that changes with its content, and its bytes."""

    path: str
    stamp: tuple[int, ...]
    read: Callable[[], bytes]


def folder(root: Path) -> DataSource:
    """The images below `root`."""

    def entries() -> list[Entry]:
        base = root / "train" if (root / "train").is_dir() else root
        entries = []
        for path in sorted(base.glob("*/*")):
            if path.suffix.lower() in SUFFIXES and not path.name.startswith("."):
                name = path.relative_to(base).as_posix()
                try:
                    status = path.stat()
                except OSError as error:
                    raise _unreadable(name, error) from error
                entries.append(Entry(name, (status.st_mtime_ns, status.st_size), path.read_bytes))
        return entries

    return _source(entries, str(root))


def zip_file(archive: Path) -> DataSource:
    """The images in a zip file; nothing is unpacked to the disk."""

    def entries() -> list[Entry]:
        try:
            with zipfile.ZipFile(archive) as opened:
                members = sorted(opened.infolist(), key=lambda member: member.filename)
        except DAMAGED as error:
            raise InvalidData(f"{archive} can't be read ({error})", remedy="copy the zip file again") from error
        paths = [PurePosixPath(member.filename) for member in members]
        trained = [path for path in paths if "train" in path.parts[:-2]]
        entries = []
        for member, path in zip(members, paths, strict=True):
            is_image = path.suffix.lower() in SUFFIXES and len(path.parts) > 1 and not path.name.startswith(".")
            if is_image and (not trained or "train" in path.parts[:-2]):
                name = "/".join(path.parts[-2:])
                entries.append(Entry(name, (member.CRC, member.file_size), _member(archive, member)))
        return entries

    return _source(entries, str(archive))


def _member(archive: Path, member: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if member.file_size > MAX_FILE_BYTES:
            raise InvalidData(
                f"{member.filename} in {archive} is larger than {MAX_FILE_BYTES} bytes", remedy="take it away"
            )
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member)

    return read


def _source(entries: Callable[[], list[Entry]], where: str) -> DataSource:
    decoded: dict[str, tuple[tuple[int, ...], Array]] = {}

    def load(manifest: Manifest) -> Examples:
        spec, listed = image_spec(manifest), entries()
        if not listed:
            raise InvalidData(
                f"{where} holds no image in a class folder",
                remedy="make a folder for each class and put its images there: cats/one.jpg",
            )
        for entry in listed:
            if decoded.get(entry.path, ((), None))[0] != entry.stamp:
                pixels = decode(_bytes(entry), entry.path, spec, manifest.preprocessing)
                decoded[entry.path] = (entry.stamp, pixels)
        for gone in decoded.keys() - {entry.path for entry in listed}:
            del decoded[gone]
        names = [entry.path.split("/", 1)[0] for entry in listed]
        numbers = classes.numbers(names, manifest.class_names, manifest.classes)
        x = np.stack([decoded[entry.path][1] for entry in listed]).astype(spec.dtype)
        y = np.array([numbers[name] for name in names], np.int64)
        return Examples({spec.name: x}, y, keys(entry.path for entry in listed))

    return load


def _bytes(entry: Entry) -> bytes:
    try:
        return entry.read()
    except DAMAGED as error:
        raise _unreadable(entry.path, error) from error


def _unreadable(name: str, error: Exception) -> InvalidData:
    return InvalidData(f"the image {name} can't be read ({error})", remedy="copy it again, or remove it")


def image_spec(manifest: Manifest) -> TensorSpec:
    """The one input (B, channels, height, width) of an image model. Raises InvalidData for any other model."""
    if len(manifest.x) != 1 or len(manifest.x[0].shape) != 4 or manifest.x[0].shape[1] not in (1, 3):
        raise InvalidData(
            f"the model {manifest.name} doesn't take images", remedy="use a .npz file or package.module:function"
        )
    return manifest.x[0]


def decode(body: bytes, name: str, spec: TensorSpec, how: Preprocessing) -> Array:
    """One image as (channels, height, width) uint8. Raises InvalidData naming the file."""
    image, orientation = picture_files.decode(body, name)
    return pictures.tensor(image, orientation, name, spec, how)


def fit_all(pixels: NDArray[np.uint8], spec: TensorSpec, how: Preprocessing) -> Array:
    """Images (n, channels, height, width) uint8 in the model's size; copied only if they must change."""
    if pixels.shape[1:] == tuple(spec.shape[1:]):
        return pixels.astype(spec.dtype, copy=False)
    rows = []
    for number, image in enumerate(pixels):
        picture = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))
        rows.append(pictures.tensor(picture, 1, f"number {number}", spec, how))
    return np.stack(rows).astype(spec.dtype)


def keys(names: Iterable[str]) -> NDArray[np.uint64]:
    """A lasting number for each path. It stays on the device."""
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    return np.array([int.from_bytes(digest, "little") for digest in digests], np.uint64)

"""IDX files, the format of MNIST and Fashion-MNIST: `*images-idx3-ubyte[.gz]` beside `*labels-idx1-ubyte[.gz]`.

Format: http://yann.lecun.com/exdb/mnist/ (two zero bytes, type 8 = unsigned byte, number of dimensions, the dimensions
as 4-byte big-endian numbers, the values).
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData
from fedrela.edge.sources import images
from fedrela.edge.training import classes
from fedrela.edge.training.examples import DataSource, Examples

MAX_BYTES = 1_000_000_000


def find(folder: Path) -> tuple[Path, Path] | None:
    """The images and labels of a folder, the training set where there are two. None if there are none."""
    candidates = sorted(path for path in folder.glob("*images*idx3-ubyte*") if path.is_file())
    candidates.sort(key=lambda path: not path.name.startswith("train"))
    for path in candidates:
        labels = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        if labels.is_file():
            return path, labels
    return None


def read(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels (n, 1, height, width) and labels (n,). Raises InvalidData."""
    pair = find(folder)
    if pair is None:
        raise InvalidData(f"{folder} holds no IDX files", remedy="put images and labels beside each other")
    pixels, labels = parse(pair[0], 3), parse(pair[1], 1)
    if len(pixels) != len(labels):
        raise InvalidData(
            f"{pair[0].name} holds {len(pixels)} images and {pair[1].name} {len(labels)} labels",
            remedy="download both files again",
        )
    return pixels[:, None], labels.astype(np.int64)


def source(folder: Path) -> DataSource:
    """What a device asks for examples."""

    def load(manifest: Manifest) -> Examples:
        pixels, labels = read(folder)
        spec = images.image_spec(manifest)
        y = classes.numbers(labels, manifest.class_names, manifest.classes)
        return Examples({spec.name: images.fit_all(pixels, spec, manifest.preprocessing)}, y)

    return load


def parse(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """One IDX file of unsigned bytes. Raises InvalidData for a truncated or different file."""
    body = _unpacked(path)
    if len(body) < 4 + 4 * dimensions or body[:4] != bytes((0, 0, 8, dimensions)):
        raise InvalidData(
            f"{path} is not an IDX file of {dimensions}-dimensional bytes", remedy="download the file again"
        )
    shape = struct.unpack_from(f">{dimensions}I", body, 4)
    values = np.frombuffer(body, np.uint8, offset=4 + 4 * dimensions)
    if values.size != int(np.prod(shape, dtype=object)):
        raise InvalidData(f"{path} is cut short or too long for its header", remedy="download the file again")
    return values.reshape(shape)


def _unpacked(path: Path) -> bytes:
    try:
        if path.suffix != ".gz":
            return path.read_bytes()
        with gzip.open(path) as file:
            body = file.read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidData(f"{path} can't be read ({error})", remedy="download the file again") from error
    if len(body) > MAX_BYTES:
        raise InvalidData(f"{path} unpacks to more than {MAX_BYTES} bytes", remedy="use smaller files")
    return body

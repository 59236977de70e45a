"""Folders and zip files of class folders: `cats/one.jpg` is an image of the class `cats`. Decoded by Pillow.

A decoded image is kept in memory until its file changes, so that a round over a large folder decodes only what is new.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fedrela.core.bundle import Manifest, Preprocessing
from fedrela.core.data import class_folders
from fedrela.core.data.class_folders import ClassNumber, shown
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array, TensorSpec
from fedrela.edge.sources import listings, picture_files, pictures
from fedrela.edge.sources.listings import File
from fedrela.edge.training import classes, sample_keys
from fedrela.edge.training.examples import DataSource, Examples


def folder(root: Path) -> DataSource:
    """The images below `root`."""
    return _source(lambda: listings.in_folder(root), str(root))


def zip_file(archive: Path) -> DataSource:
    """The images in a zip file; nothing is unpacked to the disk."""
    return _source(lambda: listings.in_zip(archive), str(archive))


def _source(list_files: Callable[[], list[File]], where: str) -> DataSource:
    decoded: dict[str, tuple[tuple[Any, ...], Array]] = {}  # by name; with what the pixels depend on

    def load(manifest: Manifest) -> Examples:
        spec, how = image_spec(manifest), manifest.preprocessing
        names, listed = normalized_names(manifest), list_files()
        selection = class_folders.select([file.path for file in listed], class_number(manifest))
        class_names = [picture.class_name for picture in selection.pictures]
        numbers = dict(zip(class_names, classes.numbers(class_names, names, manifest.classes).tolist(), strict=True))
        files = {file.path: file for file in listed}
        left_out, pixels = selection.left_out.copy(), {}
        for picture in selection.pictures:
            file, name = files[picture.path], picture.name
            stamp = file.stamp()
            if stamp is None:
                left_out[class_folders.NO_FILE] += 1
                continue
            made_of = (stamp, spec.shape, how)
            if name not in decoded or decoded[name][0] != made_of:
                decoded[name] = (made_of, decode(file.read(), shown(name), spec, how))
            pixels[picture] = decoded[name][1]
        for gone in decoded.keys() - {picture.name for picture in pixels}:
            del decoded[gone]
        note = class_folders.described(left_out)
        if not pixels:
            raise InvalidData(
                f"{shown(where)} holds no image in a class folder" + (f" ({note})" if note else ""),
                remedy="make a folder for each class and put its images there: cats/one.jpg",
            )
        x = np.stack(list(pixels.values())).astype(spec.dtype)
        y = np.array([numbers[picture.class_name] for picture in pixels], np.int64)
        former_keys = sample_keys.of_texts([picture.name for picture in pixels])
        shown_names = [shown(picture.name) for picture in pixels]
        return Examples({spec.name: x}, y, None, former_keys, (note,) if note else (), shown_names)

    return load


def normalized_names(manifest: Manifest) -> tuple[str, ...]:
    """The names of the model's classes as those of folders are compared."""
    return tuple(class_folders.normalized(name) for name in manifest.class_names)


def class_number(manifest: Manifest) -> ClassNumber:
    """The class that a folder's name stands for."""
    names = normalized_names(manifest)

    @cache
    def number(name: str) -> int | None:
        try:
            return int(classes.numbers([name], names, manifest.classes)[0])
        except InvalidData:
            return None

    return number


def image_spec(manifest: Manifest) -> TensorSpec:
    """The one input (B, channels, height, width) of an image model. Raises InvalidData for any other model."""
    if len(manifest.x) != 1 or len(manifest.x[0].shape) != 4 or manifest.x[0].shape[1] not in (1, 3):
        raise InvalidData(
            f"the model {manifest.name} doesn't take images", remedy="use a .npz file or package.module:function"
        )
    return manifest.x[0]


def decode(body: bytes, name: str, spec: TensorSpec, how: Preprocessing) -> Array:
    """One image as (channels, height, width) uint8. Raises InvalidData naming the file."""
    with picture_files.named(name):
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

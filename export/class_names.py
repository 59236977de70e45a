"""The names of a model's classes, from a folder or zip of pictures as devices have them: `fedrela export --data`.

What counts as a class folder follows the rules of the devices (`fedrela.core.data.class_folders`).
"""

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from fedrela.core.data import class_folders
from fedrela.core.errors import InvalidInput


def in_data(source: Path) -> tuple[str, ...]:
    """The class folders of `source`: numbers in their order, names in alphabetical order.

    Raises InvalidInput where there are none, or where the source can't be read.
    """
    try:
        paths = list(_in_zip(source) if source.is_file() else _in_folder(source))
    except (OSError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{source} can't be read ({error})", remedy="name a folder or a zip of pictures") from error
    names = {picture.class_name for picture in class_folders.select(paths, lambda name: None).pictures}
    if not names:
        raise InvalidInput(
            f"{source} holds no pictures in class folders",
            remedy="make a folder for each class (cats/one.jpg), or pass --class-names",
        )
    return tuple(sorted(names, key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name)))


def count(names: tuple[str, ...], classes: int | None) -> int:
    """How many classes there are: as said, or as named. Raises InvalidInput where neither says it, or both differ."""
    if classes is None and not names:
        raise InvalidInput(
            "the number of classes is missing", remedy="pass --classes, or name them: --class-names or --data"
        )
    if classes is not None and names and classes != len(names):
        raise InvalidInput(
            f"--classes is {classes}, and {len(names)} are named: {', '.join(names[:20])}",
            remedy="leave --classes out, or name every class once",
        )
    return classes if classes is not None else len(names)


def _in_folder(root: Path) -> Iterator[str]:
    if not root.is_dir():
        raise FileNotFoundError("there is no such folder")
    for folder, _, files in os.walk(root, followlinks=True):
        yield from ((Path(folder) / name).relative_to(root).as_posix() for name in files)


def _in_zip(archive: Path) -> Iterator[str]:
    with zipfile.ZipFile(archive) as opened:
        yield from (name.replace("\\", "/") for name in opened.namelist() if not name.endswith("/"))

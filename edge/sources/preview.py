"""What a device would read of somebody's data, looked at before anything is enrolled. Nothing of it leaves the machine.

With a model's manifest the data are read as for training, every picture on its own, so that each that can't be used is
named at once. Without one only a folder or zip of pictures says something: its class folders, and what is left out.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass

from fedrela.core.bundle import Manifest
from fedrela.core.data import class_folders
from fedrela.core.data.class_folders import ClassNumber, Picture, Selection, shown
from fedrela.core.environment import user_folders
from fedrela.core.errors import InvalidData
from fedrela.edge.sources import cifar, idx, images, listings, open_source, picture_files, pictures
from fedrela.edge.sources.listings import File
from fedrela.edge.training import classes, contradictions, examples

MOST_NAMED = 20  # files that can't be read


@dataclass(frozen=True)
class Preview:
    """Samples by class, files left out by reason, what can't be read, and the smallest and largest picture."""

    per_class: dict[str, int]
    left_out: dict[str, int]
    problems: tuple[str, ...]
    sizes: str = ""  # of pictures, width x height
    contradicting: str = ""  # the first of the equal samples with different labels, by name

    @property
    def samples(self) -> int:
        """How many would be trained on."""
        return sum(self.per_class.values())


def look(spec: str, manifest: Manifest | None) -> Preview:
    """What `--data SPEC` holds. Raises InvalidData where there is nothing of a known form."""
    source = open_source(spec)
    files = _pictures_of(spec)
    if files is not None:
        return _look_at_pictures(files, manifest)
    if manifest is None:
        raise InvalidData(f"how {spec} is read depends on the model", remedy="name it: --bundle FOLDER")
    loaded = examples.check(source(manifest), manifest)
    counts = Counter(_class_name(manifest, label) for label in loaded.y.tolist())
    contradicting = contradictions.named(loaded.contradicting, loaded.named)
    return Preview(dict(sorted(counts.items())), dict.fromkeys(loaded.notes, 1), (), contradicting=contradicting)


def _class_name(manifest: Manifest, label: int) -> str:
    return str(manifest.class_names[label]) if manifest.class_names else str(label)


def _pictures_of(spec: str) -> list[File] | None:
    """The files of a folder or zip of pictures; None for data of another form."""
    path = user_folders.expanded(spec)
    if path.is_file() and path.suffix.lower() == ".zip":
        return listings.in_zip(path)
    if not path.is_dir() or idx.find(path) is not None or cifar.find(path):
        return None
    return listings.in_folder(path)


def _look_at_pictures(files: list[File], manifest: Manifest | None) -> Preview:
    number = images.class_number(manifest) if manifest else _no_class
    selection = class_folders.select([file.path for file in files], number)
    problems = [] if manifest is None else _strangers(selection, manifest)
    by_path = {file.path: file for file in files}
    per_class: Counter[str] = Counter()
    left_out, sizes = selection.left_out.copy(), []
    used: list[tuple[Picture, bytes]] = []  # with a hash of its pixels
    for picture in selection.pictures:
        try:
            looked_at = _look_at(by_path[picture.path], picture, manifest)
        except InvalidData as error:
            problems.append(f"{error.problem}: {error.remedy}")
            continue
        if looked_at is None:
            left_out[class_folders.NO_FILE] += 1
            continue
        size, digest = looked_at
        sizes.append(size)
        used.append((picture, digest))
        per_class[picture.class_name] += 1
    counted = dict(sorted(per_class.items())), dict(sorted(left_out.items()))
    return Preview(*counted, tuple(problems), _range(sizes), _contradicting(used, number))


def _contradicting(used: list[tuple[Picture, bytes]], number: ClassNumber) -> str:
    """Equal pictures in folders of different classes, by name."""
    labels = [picture.class_name if (label := number(picture.class_name)) is None else label for picture, _ in used]
    equal = contradictions.groups([digest for _, digest in used], labels)
    return contradictions.named(equal, lambda row: shown(used[row][0].name))


def _no_class(name: str) -> int | None:
    """Without a model no folder's name is a class."""
    return None


def _strangers(selection: Selection, manifest: Manifest) -> list[str]:
    """A word on class folders that the model doesn't have, with both lists."""
    names = [picture.class_name for picture in selection.pictures]
    try:
        classes.numbers(names, images.normalized_names(manifest), manifest.classes)
    except InvalidData as error:
        return [f"{error.problem}: {error.remedy}"]
    return []


def _look_at(file: File, picture: Picture, manifest: Manifest | None) -> tuple[tuple[int, int], bytes] | None:
    """(width, height) of a picture that can be used and a hash of its pixels, as the model takes them where one is
    known; None for what is no regular file. Raises InvalidData.
    """
    if file.stamp() is None:
        return None
    name = shown(picture.name)
    with picture_files.named(name):
        image, orientation = picture_files.decode(file.read(), name)
        if manifest is None:
            made_of = f"{image.mode} {image.size} {orientation}".encode() + image.tobytes()
        else:
            fitted = pictures.tensor(image, orientation, name, images.image_spec(manifest), manifest.preprocessing)
            made_of = fitted.tobytes()
        return image.size, hashlib.blake2b(made_of, digest_size=16).digest()


def _range(sizes: list[tuple[int, int]]) -> str:
    if not sizes:
        return ""
    (width, height), (wide, high) = min(sizes, key=_area), max(sizes, key=_area)
    smallest = f"{width}x{height}"
    return smallest if (width, height) == (wide, high) else f"{smallest} to {wide}x{high}"


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]

"""Which files of a folder or a zip are pictures to train on, and of which class: rules about their paths alone.

    cats/one.jpg, cats/2024/two.jpg     pictures of the class cats: the first folder names it, further ones don't matter
    photos/cats/one.jpg                 the same, where `photos` is the only folder and no class of the model
    train/cats/one.jpg                  the same; what lies beside such a folder `train` is left out

Left out and counted: what is hidden or made by a system, what isn't named as a picture, formats that are not read, and
pictures in no class folder. Names are compared in Unicode's form NFC: a Mac writes "Ä" as two characters.

    >>> chosen = select(["photos/cat/1.png", "photos/cat/old/2.png", "photos/.git/3.png"], {"cat": 0}.get)
    >>> [picture.name for picture in chosen.pictures], described(chosen.left_out)
    (['cat/1.png', 'cat/old/2.png'], 'not trained on: 1 hidden or made by a system')
"""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fedrela.core.errors import InvalidData

SUFFIXES = frozenset((
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".bmp", ".dib", ".gif", ".webp", ".ppm",
    ".pgm", ".pbm", ".pnm", ".tif", ".tiff",
))  # fmt: skip
UNREAD_SUFFIXES = frozenset((
    ".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2", ".j2k", ".jpx", ".tga", ".svg", ".psd", ".ico", ".exr", ".hdr",
    ".dcm", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw",
))  # fmt: skip
SYSTEM_NAMES = frozenset(
    {"__macosx", "@eadir", "#recycle", "#snapshot", "@recycle", "$recycle.bin", "recycler", "lost+found"}
    | {"system volume information", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
)
TRAIN = "train"
# Never taken for a folder around the classes, so that nobody trains on the part that was put aside.
OTHER_PARTS = frozenset({"test", "testing", "val", "valid", "validation", "eval", "evaluation", "dev"})

HIDDEN = "hidden or made by a system"
NO_PICTURE = "not named as a picture"
NO_CLASS = "in no class folder"
BESIDE_TRAIN = "beside the folder train"
NO_FILE = "no regular file"

# The number of the class that a name stands for; None where the model has no such class.
ClassNumber = Callable[[str], int | None]
Parts = tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A file to train on: its path in the folder or zip, and its normalized name from the class folder on."""

    path: str
    name: str  # "cats/2024/two.jpg"

    @property
    def class_name(self) -> str:
        """The folder that says what it shows."""
        return self.name.split("/", 1)[0]


@dataclass(frozen=True)
class Selection:
    """The pictures, by name in alphabetical order, and how many files were left out for which reason."""

    pictures: tuple[Picture, ...]
    left_out: Counter[str]


def select(paths: Iterable[str], number: ClassNumber) -> Selection:
    """Sort files by their paths, "/" between folders. A left-out folder may stand for all that is in it.

    Raises InvalidData for two files of one name, and for a picture in the folders of two classes.
    """
    left_out: defaultdict[str, set[str]] = defaultdict(set)
    candidates: list[tuple[str, Parts]] = []
    for path in paths:
        parts = tuple(part for part in normalized(path).split("/") if part not in ("", "."))
        reason, depth = _obstacle(parts)
        if reason:
            left_out[reason].add("/".join(parts[:depth]))
        else:
            candidates.append((path, parts))
    level = _class_level([parts for _, parts in candidates], number)
    pictures = {}
    for path, parts in candidates:
        if parts[: len(level)] != level or len(parts) == len(level) + 1:
            left_out[BESIDE_TRAIN if TRAIN in level and parts[: len(level)] != level else NO_CLASS].add(path)
            continue
        picture = Picture(path, "/".join(parts[len(level) :]))
        _check_one_class(picture, parts[len(level) : -1], number)
        if picture.name in pictures:
            raise InvalidData(f"the image {shown(picture.name)} is there twice", remedy="rename or remove one of them")
        pictures[picture.name] = picture
    counts = Counter({reason: len(names) for reason, names in left_out.items()})
    return Selection(tuple(pictures[name] for name in sorted(pictures)), counts)


def described(left_out: Counter[str]) -> str:
    """What was left out, for the owner; empty where nothing was."""
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
    return f"not trained on: {counts}" if counts else ""


def normalized(name: str) -> str:
    """A name in the form NFC."""
    return unicodedata.normalize("NFC", name)


def shown(name: str) -> str:
    """A file's name as any terminal can print it: whatever is no printable character as an escape."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)


def is_left_out(name: str) -> bool:
    """Whether a file or folder of this name is hidden (`..` is, too) or a system's, with all that is in it."""
    return name.startswith(".") or name.casefold() in SYSTEM_NAMES


def _obstacle(parts: Parts) -> tuple[str, int]:
    """Why a file is left out, and how many parts of its path name what is; an empty reason where it is a picture."""
    for depth, name in enumerate(parts, start=1):
        if is_left_out(name):
            return HIDDEN, depth
    suffix = PurePosixPath(parts[-1]).suffix.lower() if parts else ""
    if suffix in UNREAD_SUFFIXES:
        return f"of the format {suffix}, which is not read (save as JPEG or PNG)", len(parts)
    return ("" if suffix in SUFFIXES else NO_PICTURE), len(parts)


def _class_level(pictures: Sequence[Parts], number: ClassNumber) -> Parts:
    """The folder whose folders are the classes."""
    level: Parts = ()
    while True:
        inner = _folder_around([parts[len(level) :] for parts in pictures if parts[: len(level)] == level], number)
        if inner is None:
            return level
        level = (*level, inner)


def _folder_around(pictures: Sequence[Parts], number: ClassNumber) -> str | None:
    """The folder of this level that holds the class folders; None where these are this level's own."""
    folders = {parts[0] for parts in pictures if len(parts) > 1}
    around = folders - {parts[0] for parts in pictures if len(parts) == 2}  # in which no picture lies directly
    if TRAIN in around:  # a means of transport, if the model knows it and not what is in it
        inner = {parts[1] for parts in pictures if parts[0] == TRAIN}
        if number(TRAIN) is None or all(number(name) is not None for name in inner):
            return TRAIN
    if len(folders) > 1 or not around:
        return None
    (only,) = around
    return only if number(only) is None and only.casefold() not in OTHER_PARTS else None


def _check_one_class(picture: Picture, folders: Parts, number: ClassNumber) -> None:
    """Raise InvalidData where a further folder is called as another class. Plain numbers are no names: 2024, 07."""
    first, *further = folders
    for name in further:
        numbers = (number(first), number(name))
        if None not in numbers and numbers[0] != numbers[1] and not name.isdecimal():
            raise InvalidData(
                f"the image {shown(picture.name)} lies in the folders of two classes, {first!r} and {name!r}",
                remedy="move it to the folder of one class",
            )

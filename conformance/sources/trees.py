"""Folders of pictures: each case knows of every file whether it is a sample, of which class, and with which pixels.

>>> from random import Random
>>> tree(Random(1)) == tree(Random(1))
True
"""

import io
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image

from fedrela.conformance import image_files
from fedrela.conformance.differential import literals, picture_mutants
from fedrela.conformance.sources import zips
from fedrela.conformance.sources.zips import Member

CLASSES = ("cat", "dog", "Vögel")
SIDE = 4
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_SUFFIXES = (".png", ".PNG", ".jpg", ".jpeg", ".jfif", ".jpe", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm")
_LEFT_OUT = (
    ".ipynb_checkpoints/1.png", "cat/.ipynb_checkpoints/1.png", "@eaDir/1.png", "cat/@eaDir/1.png/thumb.jpg",
    "__MACOSX/cat/._1.png", ".Trash-1000/files/1.png", "cat/.DS_Store", "dog/Thumbs.db", "cat/notes.txt", "readme.md",
    "cat/1.heic", "dog/film.mp4", "$RECYCLE.BIN/1.png", "lost+found/1.png", "stray.png", "cat/no suffix",
)  # fmt: skip
_INNER = ("2024", "on holiday", "a.png", "Übrige", "7", "x/y/z")


@dataclass(frozen=True)
class Leaf:
    """A file: the bytes of its path, its content, and its class; no class where it is left out."""

    path: bytes
    body: bytes
    label: int | None


@dataclass(frozen=True)
class Tree:
    """Files, whether a device must refuse them, and what was done to them."""

    leaves: tuple[Leaf, ...]
    refused: bool
    changes: tuple[str, ...]

    def files(self) -> dict[bytes, bytes]:
        """Path -> content."""
        return {leaf.path: leaf.body for leaf in self.leaves}


def tree(draw: Random) -> Tree:
    """Some pictures in class folders, with a few things changed."""
    pictures, leaves = pngs() if draw.random() < 0.7 else other_pictures(), []
    for number in range(draw.randrange(1, 6)):
        label = draw.randrange(len(CLASSES))
        suffix = draw.choice(_SUFFIXES)
        leaves.append(Leaf(f"{CLASSES[label]}/{number}{suffix}".encode(), draw.choice(pictures), label))
    made = Tree(tuple(leaves), False, ())
    for place in sorted(draw.sample(range(len(_CHANGES)), draw.choice((0, 1, 1, 2, 3)))):
        made = _CHANGES[place](made, draw)
        made = replace(made, changes=(*made.changes, _CHANGES[place].__name__.strip("_")))
    return _with_changed_body(made, draw) if draw.random() < 0.7 else made


@lru_cache(maxsize=1)
def other_pictures() -> tuple[bytes, ...]:
    """Pictures of 4 x 4 in every format and mode."""
    wide = Image.linear_gradient("L").resize((SIDE, SIDE))
    made = []
    for form, modes in picture_mutants.MODES.items():
        for mode in modes:
            file = io.BytesIO()
            wide.convert(mode).save(file, form)
            made.append(file.getvalue())
    return tuple(made)


@lru_cache(maxsize=1)
def pngs() -> tuple[bytes, ...]:
    """PNGs of 4 x 4 of every kind: their pixels can be known."""
    made = []
    for color, depths in ((0, (1, 2, 4, 8)), (2, (8,)), (3, (1, 2, 4, 8)), (4, (8,)), (6, (8,))):
        palette = image_files.chunk(b"PLTE", np.random.default_rng(color).bytes(3 * 16))
        for depth in depths:
            length = -(-SIDE * depth * _CHANNELS[color] // 8)
            noise = np.random.default_rng(depth).integers(0, 16 if color == 3 else 256, (SIDE, length), np.uint8)
            rows = b"".join(bytes([0 if color == 3 else line % 5]) + noise[line].tobytes() for line in range(SIDE))
            made.append(image_files.png(SIDE, SIDE, depth, color, rows, before=(palette,) if color == 3 else ()))
    return tuple(made)


def _with_changed_body(made: Tree, draw: Random) -> Tree:
    at = draw.randrange(len(made.leaves))
    leaf = made.leaves[at]
    body, changes = picture_mutants.changed(leaf.body, draw)
    leaves = (*made.leaves[:at], replace(leaf, body=body), *made.leaves[at + 1 :])
    return replace(made, leaves=leaves, changes=(*made.changes, *changes))


def _renamed(made: Tree, rename: Callable[[bytes], bytes]) -> Tree:
    return replace(made, leaves=tuple(replace(leaf, path=rename(leaf.path)) for leaf in made.leaves))


def _with(made: Tree, *leaves: Leaf) -> Tree:
    return replace(made, leaves=(*made.leaves, *leaves))


def _nested(made: Tree, draw: Random) -> Tree:
    inner = draw.choice(_INNER).encode()
    at = draw.randrange(len(made.leaves))
    *folders, name = made.leaves[at].path.split(b"/")
    moved = replace(made.leaves[at], path=b"/".join((*folders, inner, name)) if folders else name)
    return replace(made, leaves=(*made.leaves[:at], moved, *made.leaves[at + 1 :]))


def _beside(made: Tree, draw: Random) -> Tree:
    paths = draw.sample(_LEFT_OUT, draw.randrange(1, 5))
    bodies = (draw.choice(pngs()), b"", b"something else")
    return _with(made, *(Leaf(path.encode(), draw.choice(bodies), None) for path in paths))


def _around(made: Tree, draw: Random) -> Tree:
    around = draw.choice((b"photos", b"my data/photos", b"train", b"data/train")) + b"/"
    return _renamed(made, lambda path: around + path)


def _train_and_test(made: Tree, draw: Random) -> Tree:
    test = [Leaf(f"test/{name}/9.png".encode(), draw.choice(pngs()), None) for name in CLASSES]
    return _with(_renamed(made, lambda path: b"train/" + path), *draw.sample(test, draw.randrange(1, 3)))


def _test_alone(made: Tree, draw: Random) -> Tree:
    return replace(_renamed(made, lambda path: b"test/" + path), refused=True)


def _decomposed(made: Tree, draw: Random) -> Tree:
    def rename(path: bytes) -> bytes:
        return unicodedata.normalize("NFD", path.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    return _renamed(made, rename)


def _not_utf_8(made: Tree, draw: Random) -> Tree:
    mark = draw.choice((b"\xe4", b"\xff\xfe", b"\xc3", b"\x1b[2J", b"\n", b"\xed\xa0\x80"))
    return _renamed(made, lambda path: path[: path.rfind(b"/") + 1] + mark + path[path.rfind(b"/") + 1 :])


def _of_no_class(made: Tree, draw: Random) -> Tree:
    name = draw.choice((b"ant", b"Cat", b"3", b"-1", b"0.5", b"01x", b"v\xf6gel", b"cat "))
    return replace(_with(made, Leaf(name + b"/1.png", draw.choice(pngs()), 0)), refused=True)


def _by_number(made: Tree, draw: Random) -> Tree:
    label = draw.randrange(len(CLASSES))
    return _with(made, Leaf(f"{label}/n.png".encode(), draw.choice(pngs()), label))


def _of_two_classes(made: Tree, draw: Random) -> Tree:
    return replace(_with(made, Leaf(b"cat/dog/1.png", draw.choice(pngs()), 0)), refused=True)


# In this order: samples are added before all of them are moved, and clutter comes last.
_CHANGES: tuple[Callable[[Tree, Random], Tree], ...] = (
    *(_of_no_class, _by_number, _of_two_classes, _nested, _around, _train_and_test, _test_alone),
    *(_decomposed, _not_utf_8, _beside),
)


def zipped(made: Tree, draw: Random) -> tuple[bytes, bool]:
    """The tree as a zip, and whether its bytes were damaged: then it is no longer known what is in it."""
    backslashes, utf_8 = draw.random() < 0.2, draw.random() < 0.6
    members = [_member(leaf, draw, backslashes=backslashes, utf_8=utf_8) for leaf in made.leaves]
    members += [Member(folder + b"/", b"") for folder in {leaf.path.split(b"/")[0] for leaf in made.leaves}]
    body = zips.write(members)
    if draw.random() < 0.5:
        return body, False
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        body = literals.damaged(body, draw)
    return body, True


def _member(leaf: Leaf, draw: Random, *, backslashes: bool, utf_8: bool) -> Member:
    path = leaf.path.replace(b"/", b"\\") if backslashes else leaf.path
    try:
        path.decode()
    except UnicodeDecodeError:
        utf_8 = False
    return Member(path, leaf.body, packed=draw.random() < 0.5, utf_8=utf_8)

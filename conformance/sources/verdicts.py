"""What the device makes of a case, and whether that is right.

    right       samples, and exactly those that an independent reader finds
    read        samples, of which no independent reader has an opinion
    refused     by an error of ours, which says what to do
    wrong       other samples, or some where the independent reader finds none
    foreign     an exception that is none of ours

>>> verdict("idx", 0, 1).partition(":")[0] in VERDICTS
True
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from fedrela.conformance import message_cases
from fedrela.conformance.sources import png_reader, readers, tables, trees, zips
from fedrela.conformance.sources.readers import Row
from fedrela.conformance.sources.trees import CLASSES, SIDE, Tree
from fedrela.conformance.sources.zips import Damaged, Unknown
from fedrela.core.errors import FedRelaError
from fedrela.core.manifest import Manifest, Preprocessing
from fedrela.core.protocol.programs import Program, ProgramInput
from fedrela.edge.sources import open_source
from fedrela.edge.training.examples import check

SOURCES = ("folder", "zip", *tables.MAKERS)
VERDICTS = RIGHT, READ, REFUSED, WRONG, FOREIGN = "right", "read", "refused", "wrong", "foreign"
_READERS: dict[str, Callable[[dict[str, bytes]], list[Row]]] = {
    "npz": lambda files: readers.npz(files["data.npz"]),
    "csv": lambda files: readers.csv(files["data.csv"], CLASSES, len(tables.COLUMNS)),
    "idx": readers.idx,
    "cifar": lambda files: readers.cifar(files["data_batch_1"]),
}


def verdict(source: str, seed: int, number: int) -> str:
    """The verdict on a case; of what is wrong or foreign, also what happened."""
    draw = Random((seed << 40) + number)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if source in tables.MAKERS:
            files, changes = tables.MAKERS[source](draw)
            _lay({name.encode(): body for name, body in files.items()}, folder)
            data = folder / next(iter(files)) if source in ("npz", "csv") else folder
            said = judge(source, data, lambda: _READERS[source](files))
        else:
            made = trees.tree(draw)
            changes = made.changes
            said = _judge_folder(made, folder) if source == "folder" else _judge_zip(made, folder, draw)
    return f"{said} ({', '.join(changes)})" if said.startswith((WRONG, FOREIGN)) else said


def judge(source: str, data: Path, expected: Callable[[], Iterable[Row]]) -> str:
    """Compare what a device reads with what an independent reader finds. Pictures have no order, rows have."""
    try:
        got = rows_of(source, data)
    except FedRelaError as error:
        str(error).encode()  # as any terminal has to
        return REFUSED
    except Exception as error:  # whatever it is: that it came is the finding
        return f"{FOREIGN}: {type(error).__name__}: {str(error)[:80]}"
    try:
        rows = list(expected())
    except Unknown:
        return READ
    except Damaged as damage:
        return f"{WRONG}: read where there is nothing ({damage})"
    if source in ("folder", "zip"):
        got, rows = sorted(got), sorted(rows)
    return RIGHT if got == rows else f"{WRONG}: {len(got)} samples for {len(rows)}, or others"


def rows_of(source: str, data: Path) -> list[Row]:
    """The samples that a device reads. Raises FedRelaError."""
    manifest = _manifest(source)
    examples = open_source(os.fsdecode(data))(manifest)
    examples = check(examples, manifest)
    (x,) = examples.x.values()
    return readers.rows(x, examples.y)


def _judge_folder(made: Tree, folder: Path) -> str:
    _lay(made.files(), folder)
    return judge("folder", folder, lambda: _rows_in(made))


def _rows_in(made: Tree) -> list[Row]:
    if made.refused:
        raise Damaged("a folder of no class, or of two")
    pictures = [(leaf.body, leaf.label) for leaf in made.leaves if leaf.label is not None]
    return [(_values(body), label) for body, label in pictures]


def _values(body: bytes) -> bytes:
    """A picture's pixels as the model takes them. Raises Damaged, and Unknown for what no reader here reads."""
    if not body.startswith(b"\x89PNG"):
        raise Unknown("no PNG")
    pixels = png_reader.read(body)
    if pixels.shape != (SIDE, SIDE, 3):
        raise Damaged("of another size")
    return pixels.transpose(2, 0, 1).astype(np.float64).tobytes()


def _judge_zip(made: Tree, folder: Path, draw: Random) -> str:
    body, damaged = trees.zipped(made, draw)
    archive = folder / "data.zip"
    archive.write_bytes(body)
    if not damaged:
        return judge("zip", archive, lambda: _rows_in(made))
    return judge("zip", archive, lambda: _unpacked_rows(body, folder / "unpacked"))


def _unpacked_rows(body: bytes, folder: Path) -> list[Row]:
    """What a device reads of the same files in a folder."""
    files = zips.read(body)
    names = [name.replace(b"\\", b"/") for name in files]
    if any(b".." in name or name.startswith(b"/") or b"//" in name for name in names):
        raise Unknown("a path that leads elsewhere")
    bodies = [b"damaged" if isinstance(body, Damaged) else body for body in files.values()]
    contents = dict(zip(names, bodies, strict=True))
    try:
        _lay({name: content for name, content in contents.items() if not name.endswith(b"/")}, folder)
        return rows_of("folder", folder)
    except OSError as error:
        raise Unknown(str(error)) from error
    except FedRelaError as error:
        raise Damaged(error.problem) from error


def _lay(files: dict[bytes, bytes], folder: Path) -> None:
    for name, body in files.items():
        path = os.path.join(os.fsencode(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body)


def _manifest(source: str) -> Manifest:
    shapes: dict[str, tuple[int, ...]] = {"csv": (len(tables.COLUMNS),), "cifar": (3, 32, 32)}
    pictures = (1, SIDE, SIDE) if source in ("npz", "idx") else (3, SIDE, SIDE)
    dtype = "float32" if source == "csv" else "uint8"
    x = ProgramInput("x", "x", ("B", *shapes.get(source, pictures)), dtype)
    manifest = message_cases.manifest()
    step = manifest.train_step
    inputs = tuple(x if item.role == "x" else item for item in step.inputs)
    how = (
        Preprocessing("tabular", columns=tables.COLUMNS) if source == "csv" else Preprocessing("image", grayscale=True)
    )
    return replace(
        manifest, train_step=Program(inputs, step.outputs, step.files), preprocessing=how, class_names=CLASSES
    )

"""Arrays in a .npz file, and tables in a .csv file."""

import csv
import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array
from fedrela.edge.training import classes, sample_keys
from fedrela.edge.training.examples import DataSource, Examples

LABELS = ("y", "label", "labels", "class")
IDS = "sample_id"  # names a sample for good, where there is such an array or column


def npz(path: Path) -> DataSource:
    """A file of arrays: one for each input of the model, by its name, `y` and perhaps `sample_id`."""

    def load(manifest: Manifest) -> Examples:
        arrays, names = _read_npz(path), [spec.name for spec in manifest.x]
        label = _label_of(path, [name for name in arrays if name not in names], "array", "y")
        y = classes.numbers(arrays.pop(label), manifest.class_names, manifest.classes)
        ids = arrays.pop(IDS, None) if IDS not in names else None
        if len(names) == 1 and len(arrays) == 1:
            arrays = {names[0]: next(iter(arrays.values()))}
        missing = [name for name in names if name not in arrays]
        if missing:
            raise InvalidData(f"{path} holds no array {missing[0]!r}", remedy=f"name the arrays {', '.join(names)}, y")
        return Examples({name: arrays[name] for name in names}, y, ids)

    return load


def _read_npz(path: Path) -> dict[str, Array]:
    try:
        with zipfile.ZipFile(path) as packed:  # numpy reads as far as an array goes, and a sum is looked at behind it
            damaged = packed.testzip()
        if damaged:
            raise ValueError(f"{damaged} is not what was written")
        with np.load(path, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
        foreign = [name for name, array in arrays.items() if not isinstance(array, np.ndarray)]
        if foreign:
            raise ValueError(f"{foreign[0]!r} is no array")
        for array in arrays.values():
            if array.dtype.kind == "U":
                array.tolist()  # numpy hands out texts of numbers that are no characters, and fails with the first use
        return arrays
    except Exception as error:  # numpy's and zipfile's own, and what a .npy under another name lacks
        raise InvalidData(
            f"{path} can't be read ({error})", remedy="save it again with numpy.savez, without object arrays"
        ) from error


def csv_table(path: Path) -> DataSource:
    """A table with a header: the manifest's columns as float32, `label` (a class), and perhaps `sample_id`."""

    def load(manifest: Manifest) -> Examples:
        if len(manifest.x) != 1 or len(manifest.x[0].shape) != 2 or manifest.x[0].dtype != "float32":
            raise InvalidData(
                f"the model {manifest.name} doesn't take tables", remedy="use a .npz file or package.module:function"
            )
        header, rows = _read_csv(path)
        declared = manifest.preprocessing.columns
        label = _label_of(path, [name for name in header if name not in declared], "column", "label")
        columns = declared or tuple(name for name in header if name not in (label, IDS))
        if set(columns) - set(header) or len(columns) != manifest.x[0].shape[1]:
            raise InvalidData(
                f"{path} has the columns {', '.join(header[:12])}",
                remedy=f"the model takes {', '.join(declared) or manifest.x[0].shape[1]}, and label",
            )
        x = _numbers(path, rows, [_place(path, header, name) for name in columns], columns)
        named = [row[header.index(label)].strip() for row in rows]
        ids = None
        if IDS in header and IDS not in columns:
            place = _place(path, header, IDS)
            ids = sample_keys.of_texts([row[place].strip() for row in rows])
        y = classes.numbers(named, manifest.class_names, manifest.classes)
        return Examples({manifest.x[0].name: x}, y, ids, names=[f"row {number + 2}" for number in range(len(rows))])

    return load


def _label_of(path: Path, names: list[str], kind: str, usual: str) -> str:
    """The name among `names` of what holds the labels. Raises InvalidData where that would be a guess."""
    candidates = [name for name in names if name in LABELS]
    if not candidates:
        raise InvalidData(
            f"{path} holds no labels: it has no {kind} {usual!r}", remedy=f"name the {kind} of labels {usual}"
        )
    if len(candidates) > 1:
        raise InvalidData(
            f"the labels of {path} may be in {' or in '.join(map(repr, candidates))}",
            remedy=f"keep one {kind} of these names, or export the model with --columns",
        )
    return candidates[0]


def _place(path: Path, header: list[str], name: str) -> int:
    """Where a column is. Raises InvalidData where there are two of its name."""
    if header.count(name) > 1:
        raise InvalidData(f"{path} has two columns {name!r}", remedy="keep one of them, or name them differently")
    return header.index(name)


def _read_csv(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = [row for row in csv.reader(file, strict=True) if row]
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise InvalidData(f"{path} can't be read ({error})", remedy="save it as UTF-8 with commas") from error
    if not table:
        raise InvalidData(f"{path} is empty", remedy="write a header and at least one row")
    header = [name.strip() for name in table[0]]
    other = next((mark for mark in ";\t|" if len(header) == 1 and mark in header[0]), "")
    if other:
        raise InvalidData(
            f"the cells of {path} are separated by {other!r}",
            remedy="save it with commas, and with 1.5 for one and a half",
        )
    for number, row in enumerate(table[1:], start=2):
        if len(row) != len(header):
            raise InvalidData(
                f"row {number} of {path} has {len(row)} cells, the header {len(header)}", remedy="mend that row"
            )
    return header, table[1:]


@np.errstate(over="ignore")  # what float32 cannot hold is named
def _numbers(path: Path, rows: list[list[str]], places: list[int], names: tuple[str, ...]) -> NDArray[np.float32]:
    x = np.empty((len(rows), len(places)), np.float32)
    for number, row in enumerate(rows):
        for column, place in enumerate(places):
            try:
                x[number, column] = math.nan if "_" in row[place] else float(row[place])  # 1_0 is Python's 10 alone
            except ValueError:
                x[number, column] = math.nan
            if not math.isfinite(x[number, column]):
                raise InvalidData(
                    f"row {number + 2} of {path} holds {row[place][:40]!r} in the column {names[column]!r}",
                    remedy="write a finite number there, or remove the row",
                )
    return x

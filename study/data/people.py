"""Samples that have owners: a .zip with a CSV for each of them, as it comes, or one CSV; owners become devices.

owned = chosen(read(tables(Path("heart.zip"))), ("cleveland", "va"), binary=True)
prepared, shards = devices(prepared, setting, scenario)
"""

import csv
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidData
from fedrela.core.streams import derive, permutation
from fedrela.core.tensors import Array
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import Shards
from fedrela.emulator.scenario import Scenario
from fedrela.study.config import Setting, require
from fedrela.study.data.prepared import Prepared

_SECRET = b"fedrela study"
LABEL = "label"


@dataclass(frozen=True)
class Owned:
    """n samples: x (n, d) float32, y (n,), owners (n,) as places in `names`."""

    x: Array
    y: NDArray[np.int64]
    owners: NDArray[np.int64]
    names: tuple[str, ...]  # of the owners' files
    classes: tuple[str, ...]  # by name, numbers by size


def tables(source: Path) -> dict[str, str]:
    """The text of each CSV in a .zip whose last column is called `label`, by the name of its file, sorted."""
    if source.suffix != ".zip":
        return {}
    try:
        with zipfile.ZipFile(source) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".csv"))
            texts = {name: archive.read(name).decode("utf-8-sig") for name in names}
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise InvalidData(f"{source.name} is damaged ({error})", remedy="fetch it again") from error
    return {name: text for name, text in texts.items() if text.split("\n", 1)[0].strip().rpartition(",")[2] == LABEL}


def by_column(source: Path, owner: str, label: str) -> dict[str, str]:
    """The rows of one CSV apart by the value of the column `owner`, as `tables` gives them. Raises InvalidData."""
    try:
        heading, *rows = csv.reader(io.StringIO(source.read_text(encoding="utf-8-sig")))
    except (UnicodeDecodeError, ValueError, csv.Error) as error:
        raise InvalidData(f"{source.name} is no table ({error})", remedy="give a CSV with a heading") from error
    for name in (owner, label):
        if heading.count(name) != 1:
            raise InvalidData(f"{heading.count(name)} columns are called {name!r}", remedy="name one that is there")
    if any(len(row) != len(heading) for row in rows):
        raise InvalidData(f"a row of {source.name} has not {len(heading)} values", remedy="mend it")
    at, last = heading.index(owner), heading.index(label)
    others = [column for column in range(len(heading)) if column not in (at, last)]
    owned: dict[str, list[list[str]]] = {}
    for row in sorted(rows, key=lambda row: row[at]):
        own = owned.setdefault(row[at], [[*(heading[column] for column in others), LABEL]])
        own.append([*(row[column] for column in others), row[last]])
    return {name: _as_text(own) for name, own in owned.items()}


def _as_text(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def read(texts: dict[str, str]) -> Owned:
    """One owner per table. Raises InvalidData for tables that don't fit together."""
    rows = {name: list(csv.reader(io.StringIO(text))) for name, text in texts.items()}
    headings = {tuple(table[0]) for table in rows.values()}
    if len(headings) != 1:
        raise InvalidData("the tables have different columns", remedy="give each owner the same ones")
    labels = {row[-1] for table in rows.values() for row in table[1:]}
    classes = sorted(labels, key=lambda name: (float(name), name) if _is_number(name) else (np.inf, name))
    try:
        x = np.array([[float(value) for value in row[:-1]] for table in rows.values() for row in table[1:]], np.float32)
    except ValueError as error:
        raise InvalidData(f"a value is no number ({error})", remedy="write missing values as numbers") from error
    y = np.array([classes.index(row[-1]) for table in rows.values() for row in table[1:]], np.int64)
    owners = np.repeat(np.arange(len(rows)), [len(table) - 1 for table in rows.values()]).astype(np.int64)
    return Owned(x, y, owners, tuple(PurePosixPath(name).stem for name in rows), tuple(classes))


def chosen(owned: Owned, names: Sequence[str], *, binary: bool) -> Owned:
    """Only the owners of these names, if any is given; `binary`: all classes but the first become one."""
    unknown = [name for name in names if name not in owned.names]
    if unknown:
        raise InvalidData(f"there is no owner {unknown[0]!r}", remedy=f"choose among {', '.join(owned.names)}")
    places = sorted(owned.names.index(name) for name in names or owned.names)
    rows = np.isin(owned.owners, places)
    y = np.minimum(owned.y, 1) if binary else owned.y
    classes = (owned.classes[0], f"not {owned.classes[0]}") if binary else owned.classes
    owners = np.searchsorted(places, owned.owners[rows])
    return Owned(owned.x[rows], y[rows], owners, tuple(owned.names[place] for place in places), classes)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def tested(people: int, setting: Setting) -> NDArray[np.int64]:
    """Who is in the setting's fold, ascending. The folds are the same for all seeds and methods."""
    order = permutation(derive(_SECRET, "people", people), people)
    return np.sort(order[setting.people_fold - 1 :: setting.people_folds])


def stratified(labels: NDArray[np.int64], owners: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """(n,): a quarter of the samples of each class of each owner, halves up."""
    held_out = np.zeros(len(labels), bool)
    for owner in np.unique(owners):
        for label in np.unique(labels[owners == owner]):
            members = np.flatnonzero((owners == owner) & (labels == label))
            order = permutation(derive(_SECRET, "stratified", seed, int(owner), int(label)), len(members))
            held_out[members[order[: (len(members) + 2) // 4]]] = True
    return held_out


def devices(prepared: Prepared, setting: Setting, scene: Scenario) -> tuple[Prepared, Shards]:
    """Every owner outside of the test part is a device with all its samples there. Raises InvalidStudy."""
    require(prepared.owners is not None, f"the samples of {setting.name!r} have no owners", "give tables by owner")
    assert prepared.owners is not None
    dataset, owners = prepared.dataset, prepared.owners
    if setting.people_fold:
        held_out = np.isin(owners, tested(int(owners.max()) + 1, setting))
    else:
        held_out = stratified(dataset.y, owners, scene.seed)
    training = np.unique(owners[~held_out])
    require(
        setting.devices == len(training),
        f"devices of {setting.name!r} is {setting.devices}, and {len(training)} owners have training samples",
        f"write devices = {len(training)}",
    )
    y = dataset.y[~held_out]
    part = Dataset(dataset.x[~held_out], y, dataset.x[held_out], dataset.y[held_out], dataset.classes)
    dealt = tuple(np.flatnonzero(owners[~held_out] == owner) for owner in training)
    shards = Shards(scene, y, np.arange(len(y)), np.bincount(y, minlength=dataset.classes), dealt)
    return replace(prepared, dataset=part, owners=None, test_owners=owners[held_out]), shards

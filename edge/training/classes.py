"""Labels as they were read to class numbers: the one place where a label becomes a number, and nothing is guessed.

A label counts where it is one of the model's declared names, or an exact whole number 0..C-1 (3, 3.0, "3" and "3.0").
Where the model's names are numbers themselves ("3", "5", "7"), a number is a name and never a place in the order. All
else is refused, with what the data say and what the model declares.

    >>> numbers(["7", "0.0"], (), 10).tolist(), numbers([5, 3], ("3", "5", "7"), 3).tolist()
    ([7, 0], [1, 0])
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedrela.core.errors import InvalidData

_WHOLE = re.compile(r"(\d{1,18})(\.0*)?")
_SHOWN = 8


def numbers(labels: ArrayLike | Sequence[str], names: tuple[str, ...], classes: int) -> NDArray[np.int64]:
    """Class numbers (n,) of labels (n,) from a file: texts, or numbers of any dtype. A device may lack classes.

    Raises InvalidData for anything that is no class of the model.
    """
    read = labels if _are_texts(labels) else as_read(labels).tolist()
    distinct = sorted(set(read))
    declared = _declared(names)
    by_label = {label: _number(label, declared, classes) for label in distinct}
    strangers = [label for label, number in by_label.items() if number is None]
    if strangers:
        raise _refusal(distinct, strangers[0], names, classes)
    return np.array([by_label[label] for label in read], np.int64)


def checked(labels: ArrayLike, names: tuple[str, ...], classes: int) -> NDArray[np.int64]:
    """Class numbers (n,) of what a source gave: names, or class numbers of any dtype. Raises InvalidData."""
    read = as_read(labels)
    if read.dtype.kind == "U":
        return numbers(read, names, classes)
    if not len(read):
        return np.empty(0, np.int64)
    if read.dtype.kind == "f" and not (np.isfinite(read) & (np.floor(read) == read)).all():
        raise InvalidData("a label is not a whole number", remedy="pass (n,) whole numbers or class names")
    if read.min() < 0 or read.max() >= classes:
        raise InvalidData(
            f"a label is outside 0..{classes - 1}: the data have the labels {_list(np.unique(read).tolist())}",
            remedy=f"the model's classes are {_list(names) if names else f'0 to {classes - 1}'}: check their order "
            "and how many the model was exported for",
        )
    return read.astype(np.int64)


def as_read(labels: ArrayLike) -> NDArray[Any]:
    """Labels (n,) as text or numbers. Raises InvalidData for another shape or dtype."""
    try:
        read = np.asarray(labels)
        if read.dtype.kind == "O" and read.ndim == 1 and len({type(label) for label in read}) == 1:
            read = np.array(read.tolist())  # a column of a data frame
    except Exception as error:  # what numpy raises for ragged lists and foreign objects differs by its version
        raise InvalidData(f"the labels are no array ({error})", remedy=_FORM) from error
    if read.ndim != 1 or read.dtype.kind not in "iufU":
        raise InvalidData(f"the labels have shape {read.shape} and dtype {read.dtype}", remedy=_FORM)
    return read


def _are_texts(labels: ArrayLike | Sequence[str]) -> TypeGuard[list[str]]:
    """A list of texts stays one: as an array each would take as much room as the longest."""
    return isinstance(labels, list) and all(isinstance(label, str) for label in labels)


_FORM = "pass (n,) whole numbers or class names"


@dataclass(frozen=True)
class _Declared:
    """Class numbers by name, and by the number that a name is (None: no name is one). What means two means none."""

    by_name: dict[str, int]
    by_number: dict[int, int] | None


def _declared(names: tuple[str, ...]) -> _Declared:
    plain, whole = [_plain(name) for name in names], [_whole(name) for name in names]
    by_name = {name: place for place, name in enumerate(plain) if plain.count(name) == 1}
    by_number = {n: place for place, n in enumerate(whole) if n is not None and whole.count(n) == 1}
    return _Declared(by_name, by_number if any(number is not None for number in whole) else None)


def _number(label: str | float, declared: _Declared, classes: int) -> int | None:
    """The class that a label is; None if it is none."""
    if isinstance(label, str) and _plain(label) in declared.by_name:
        return declared.by_name[_plain(label)]
    whole = _whole(label)
    if whole is None:
        return None
    if declared.by_number is not None:
        return declared.by_number.get(whole)
    return whole if whole < classes else None


def _whole(label: str | float) -> int | None:
    """The whole number from 0 on that a label is exactly."""
    if isinstance(label, str):
        match = _WHOLE.fullmatch(label)
        return int(match[1]) if match else None
    return int(label) if label >= 0 and float(label).is_integer() else None


def _plain(name: str) -> str:
    """One spelling for a name: file systems write its accents in two ways."""
    return unicodedata.normalize("NFC", name)


def _refusal(seen: list[Any], stranger: Any, names: tuple[str, ...], classes: int) -> InvalidData:
    remedy = f"name it one of {_list(names)}, or take it away"
    if not names:
        remedy = f"name the classes 0 to {classes - 1}, or export the model with --class-names"
    problem = f"the data have the labels {_list(map(_shown, seen))}, and the model has no class {_shown(stranger)}"
    return InvalidData(problem, remedy=remedy)


def _list(items: Iterable[Any]) -> str:
    texts = [str(item) for item in items]
    return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")


def _shown(label: Any) -> str:
    return repr(label[:60] if isinstance(label, str) else label)

"""Class names to class numbers, in the manifest's order.

>>> number_of("7", ("zero", "one"), 10)
7
"""

from collections.abc import Iterable

from fedrela.core.errors import InvalidData


def numbers(seen: Iterable[str], names: tuple[str, ...], classes: int) -> dict[str, int]:
    """The number of each class folder or label that was found. A device may lack classes; it may not have others.

    Without names in the manifest, whole numbers count as class numbers; other names are numbered in alphabetical order
    if every class is there, since the order would be a guess otherwise. Raises InvalidData.
    """
    distinct = sorted(set(seen))
    plain = all(name.isdecimal() for name in distinct)
    if not names and not plain:
        if len(distinct) != classes:
            raise InvalidData(
                f"{len(distinct)} class names were found and the model has {classes} classes without names",
                remedy=f"name the classes 0 to {classes - 1}, or export the model with --class-names",
            )
        names = tuple(distinct)
    return {name: number_of(name, names, classes) for name in distinct}


def number_of(name: str, names: tuple[str, ...], classes: int) -> int:
    """The number of one class. Raises InvalidData for a class that the model doesn't have."""
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < classes:
        return int(name)
    known = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else f"0 to {classes - 1}"
    raise InvalidData(f"the model has no class {name[:60]!r}", remedy=f"name it one of {known}, or take it away")

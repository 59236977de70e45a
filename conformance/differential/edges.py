"""What lies at, just inside and just outside the limits of every field: read off the annotations that Python checks by.

>>> from fedrela.conformance.differential.bodies import documents
>>> from fedrela.core.wire import UpdateReceipt
>>> edges(documents()["UpdateReceipt"][0], UpdateReceipt)[("round",)][:3]
[0, 1, 2]
"""

import dataclasses
import math
import re
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any

from fedrela.core.protocol.limits import Between, Exactly, Length, Text

Path = tuple[str | int, ...]

# What the annotation alone doesn't lead to, by the name of the field.
_BY_NAME: dict[str, tuple[Any, ...]] = {
    "seed": (
        *("0", "00", "05", "5", "-5", "+5", "5.0", "", " 5", "٣"),
        *("9" * 100, "9" * 101, "1" + "0" * 99, "1" + "0" * 100),
    ),
    "hours": (
        *("22:00-06:00", "00:00-23:59", "24:00-06:00", "08:00-08:00", "8:00-9:00", "22:60-06:00"),
        *("22:00-06:00\n", "٢٢:00-06:00", "22:00", " "),
    ),
    "start": (
        *(0, 1, 20, 21, 1_000_000, 1_000_001, 17.0, 0.0, 1.0, -0.5),
        *(0.8, 5e-324, 1 - 2**-53, 0.95, 0.9500000001),
    ),
    "shape": (
        *([], ["B"], ["N"], ["B", "B"], [2, "B"], ["C"], [1], [0], [-1], [3, 4]),
        *([1] * 16, [1] * 17, ["B", *[1] * 15], ["B", *[1] * 16]),
    ),
    "path": (
        *("..", ".", "...", "....", ".a", "..a", "...a", "a..", "a/b", "/a", "a\\b", "C:", "a b", "ä"),
        *("a\x00", "a\x1f", "a\x7f", "a\x80", "😀" * 200, "😀" * 201),
    ),
    "signature": ("", "😀" * 200, "😀" * 201),
    "outputs": ([], ["probabilities"], ["new_labels", "flip_rate"], ["flip_rate", "new_labels"]),
    "min_runtime_version": (
        *("1", "1.2.3.4.5.6", "1.2.3.4.5.6.7", "1.4.1+cpu", "1.2rc1", "1.2-", "v1", "1..2", "1."),
        *("0123456789", "012345678"),
    ),
    "min_client_versions": (
        *({"any": "1"}, {"Any": "1"}, {"": "1"}, {"page": ""}, {"p" * 32: "1"}, {"p" * 33: "1"}),
        *({f"c{number}": "1" for number in range(size)} for size in (20, 21)),
    ),
    "hyperparameters": (
        *(None, {}, {"lr": 1}, {"lr": "1"}, {"": 1}, {"lr": True}),
        *({f"h{number}": 1 for number in range(size)} for size in (100, 101)),
    ),
    "requires": ([], ["a"], ["a" * 64], ["a" * 65], ["A"], [""], [1], ["a"] * 64, ["a"] * 65, ["a", "a"]),
    "class_names": (
        *([], ["a", "b"], ["a", "a"], ["a", "b", "c"], ["a", "b", ""], ["a", "b", 3]),
        *(["a", "b", "😀" * 200], ["a", "b", "😀" * 201]),
    ),
    "columns": ([""], ["a"] * 3, [1]),
    "reason": ("later", "😀" * 100, "😀" * 101),
}
HEAVY = 500  # items; longer lists are made rarely


def edges(body: Any, cls: type[Any]) -> dict[Path, list[Any]]:
    """For every field of a body and of the class, values around its limits. Lists in the body are gone into."""
    return dict(_fields(body, cls, ()))


def _fields(body: Any, cls: type[Any], path: Path) -> Iterator[tuple[Path, list[Any]]]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        present = body.get(field.name) if isinstance(body, dict) else None
        yield from _hinted(present, hints[field.name], (*path, field.name))


def _hinted(present: Any, hint: Any, path: Path) -> Iterator[tuple[Path, list[Any]]]:
    bare = _bare(hint)
    around = [*_around(hint, present), *_BY_NAME.get(str(path[-1]).replace("max_client", "min_client"), ())]
    if around:
        yield path, around
    if dataclasses.is_dataclass(bare):
        yield from _fields(present, bare, path)  # type: ignore[arg-type]
    elif typing.get_origin(bare) is tuple and isinstance(present, list):
        for at, item in enumerate(present):
            yield from _hinted(item, typing.get_args(bare)[0], (*path, at))


def _bare(hint: Any) -> Any:
    """The type without limits and without None."""
    if typing.get_origin(hint) is Annotated:
        return _bare(typing.get_args(hint)[0])
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        return _bare(options[0]) if len(options) == 1 else hint
    return hint


def _around(hint: Any, present: Any) -> list[Any]:
    """Values at the limits of one field."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        words = [word for word in arguments if isinstance(word, str)]
        return [*words, *(word.upper() for word in words), *(f"{word} " for word in words[:2]), "", None]
    if origin in (types.UnionType, typing.Union):
        return [value for option in arguments for value in _around(option, present)]
    if origin is not Annotated:
        return []
    base, limits = arguments[0], arguments[1:]
    return [*_around(base, present), *(value for limit in limits for value in _limit(limit, _bare(base), present))]


def _limit(limit: Any, base: Any, present: Any) -> list[Any]:
    if isinstance(limit, Between):
        return _numbers(limit, base)
    if isinstance(limit, Exactly):
        return [limit.number - 1, limit.number, limit.number + 1, float(limit.number), str(limit.number), None]
    if isinstance(limit, Text):
        return _texts(limit.pattern, present if isinstance(present, str) and present else "a1")
    assert isinstance(limit, Length)
    lengths = [size for end in (limit.least, limit.most) for size in (end - 1, end, end + 1) if size >= 0]
    if base is str:
        stem = present if isinstance(present, str) and present else "a"
        return [text for size in lengths for text in ((stem * size)[:size], "😀" * size, "\u0301" * size)]
    items = present if isinstance(present, list) and present else ["a"]
    if typing.get_origin(base) is dict:
        return [{f"k{number}": 1 for number in range(size)} for size in lengths]
    return [[items[at % len(items)] for at in range(size)] for size in lengths]


def _numbers(limit: Between, base: Any) -> list[Any]:
    ends = (limit.least, limit.most)
    whole = [int(end) + step for end in ends for step in (-1, 0, 1)]
    if base is int:
        return [*whole, *map(float, ends), -whole[1], True, None, str(whole[1])]
    close = [math.nextafter(end, way) for end in ends for way in (-math.inf, math.inf)]
    return [*map(float, ends), *close, *whole[:3], -0.0, True, None, str(limit.most)]


def _texts(pattern: str, stem: str) -> list[str]:
    """Texts as long as the expression's numbers say, and near misses of one that fits."""
    counts = {int(number) for braces in re.findall(r"\{([\d,]+)\}", pattern) for number in braces.split(",") if number}
    sizes = sorted({size for count in counts for size in (count - 1, count, count + 1)})
    long = [(stem * size)[:size] for size in sizes]
    misses = [*(stem + tail for tail in ("\n", " ", "é", "٣", "\0")), f"\n{stem}", stem.upper(), stem[:-1], stem[1:]]
    return [*long, *misses, "", ".", "-", "_", "..", "._-", "a/b", "😀", "A", "a", "1", "ſ", "K"]

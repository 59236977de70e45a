"""A case at, inside and outside of every limit that a field has: from the same annotations that the Python side reads.

The verdict on each is the reader's own, and outside of a limit it must be a refusal.

    >>> [value for value, inside in values(Between(0, 1, above=True), whole=False)][:2]
    [0.0, 5e-324]
"""

import copy
import dataclasses
import json
import math
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from fedrela.core.errors import FedRelaError
from fedrela.core.protocol.limits import SAFE_WHOLE, Between, Exactly, Length, Text

Path = tuple[str | int, ...]
Parse = Callable[[bytes], object]
_ALIKE = (0, "train_step", "predict", "relabel")
# Of each expression in the protocol: what only seems to match it.
_NEVER = ("", "\n", "a\n", "a b", "é", "٣", "../a", "a/b", "0" * 600)


def values(limit: Between, *, whole: bool) -> Iterator[tuple[float, bool]]:
    """Numbers around both ends, and whether each lies within."""
    for end, other, is_open, outwards in (
        (limit.least, limit.most, limit.above, -math.inf),
        (limit.most, limit.least, limit.below, math.inf),
    ):
        step = (1 if outwards > 0 else -1) if whole else 0
        outside = int(end) + step if whole else math.nextafter(float(end), outwards)
        inside = int(end) - step if whole else math.nextafter(float(end), float(other))
        at = int(end) if whole else float(end)
        yield at, not is_open
        yield inside, True
        if abs(outside) <= SAFE_WHOLE or not whole:
            yield outside, False


def cases(kind: str, cls: type[Any], body: dict[str, Any], parse: Parse) -> Iterator[dict[str, Any]]:
    """Every limit of `cls` tried on `body`, a good body of that kind in which every part is there."""
    first: dict[Any, tuple[Path, Any]] = {}  # of several inputs, files and programs one is enough
    for path, hint, limit in _limits(cls, body, ()):
        first.setdefault((tuple(step for step in path if step not in _ALIKE), limit), (path, hint))
    for (_, limit), (path, hint) in first.items():
        for value, inside in _tried(hint, limit):
            changed = copy.deepcopy(body)
            _parent(changed, path)[path[-1]] = value
            text = json.dumps(changed, ensure_ascii=False, separators=(",", ":"))
            valid = _accepts(parse, text)
            assert inside or not valid, (kind, path, value)
            name = f"{'.'.join(map(str, path))} is {json.dumps(value)[:40]}"
            yield {"kind": kind, "name": name, "valid": valid, "body": text}


def _accepts(parse: Parse, text: str) -> bool:
    try:
        parse(text.encode())
    except FedRelaError:
        return False
    return True


def _tried(hint: Any, limit: Any) -> Iterator[tuple[Any, bool]]:
    if isinstance(limit, Between):
        yield from values(limit, whole=hint is int)
    elif isinstance(limit, Exactly):
        yield from ((limit.number + 1, False), (float(limit.number), False))
    elif isinstance(limit, Text):
        yield from ((value, limit.holds(value)) for value in _NEVER)
    elif isinstance(limit, Length) and hint is str:
        yield from (("é" * size, limit.least <= size <= limit.most) for size in (limit.least, limit.most))
        yield from (("é" * size, False) for size in (limit.least - 1, limit.most + 1) if size >= 0)
        yield "🐦" * limit.most, True  # two units of UTF-16 each


def _limits(cls: type[Any], body: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    """Every limited field below `cls` that `body` has: its path, its type and the limit."""
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        if field.name not in body:
            continue
        yield from _of_value(hints[field.name], body[field.name], (*path, field.name))


def _of_value(hint: Any, value: Any, path: Path) -> Iterator[tuple[Path, Any, Any]]:
    if typing.get_origin(hint) is Annotated:
        inner, *limits = typing.get_args(hint)
        yield from ((path, inner, limit) for limit in limits)
        yield from _of_value(inner, value, path)
    elif typing.get_origin(hint) is tuple and isinstance(value, list) and value:
        yield from _of_value(typing.get_args(hint)[0], value[0], (*path, 0))
    elif dataclasses.is_dataclass(hint) and isinstance(value, dict):
        yield from _limits(typing.cast(type[Any], hint), value, path)
    elif typing.get_origin(hint) is not None and isinstance(value, dict):
        for option in typing.get_args(hint):
            if dataclasses.is_dataclass(option):
                yield from _limits(typing.cast(type[Any], option), value, path)


def _parent(body: Any, path: Path) -> Any:
    for step in path[:-1]:
        body = body[step]
    return body

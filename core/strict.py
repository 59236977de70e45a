"""Plain dicts (from TOML or JSON) into frozen dataclasses, refusing whatever is not exactly right.

An unknown key, a missing key, a wrong type, a non-finite number or a duplicate JSON key is an error that names the
dotted path. Nothing is coerced but a whole number where a float is wanted. `check` asks the same of a dataclass that
was made in Python.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> build(Point, {"x": 1}, InvalidMessage)
    Point(x=1.0, y=0.0)
"""

import dataclasses
import json
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar

from fedrela.core.errors import InvalidInput, InvalidMessage

T = TypeVar("T")
_PLAIN = (str, int, bool)  # values of these types are right whatever they are


def build(cls: type[T], data: object, error: type[InvalidInput], path: str = "") -> T:
    """Make the dataclass `cls` from the mapping `data`; raise `error` naming the path of the first fault."""
    if not isinstance(data, Mapping):
        raise error(f"{path or 'the document'} is {_name(data)}", remedy="make it a table of named values")
    hints, fields = _fields(cls)  # type: ignore[arg-type]
    unknown = [key for key in data if key not in fields]
    if unknown:
        raise error(
            f"unknown key {_join(path, str(unknown[0]))!r}", remedy=f"known keys here: {', '.join(sorted(fields))}"
        )
    values: dict[str, Any] = {}
    for name, field in fields.items():
        if name in data:
            value, hint = data[name], hints[name]
            plain = type(value) is hint and hint in _PLAIN
            values[name] = value if plain else _value(hint, value, error, _join(path, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise error(f"key {_join(path, name)!r} is missing", remedy="add it")
    return cls(**values)


def check(value: object, error: type[InvalidInput], path: str = "") -> None:
    """Raise `error` for a field that `build` would refuse: a wrong type, or a number that is not finite.

    For `__post_init__`, so that a value has been checked however it was made.
    """
    for name, hint in _fields(type(value))[0].items():  # type: ignore[arg-type]  # a class is hashable
        _value(hint, getattr(value, name), error, _join(path, name))


def from_json(cls: type[T], body: bytes | str, error: type[InvalidInput] = InvalidMessage) -> T:
    """Parse JSON and `build`. Duplicate keys and NaN or Infinity are refused."""

    try:
        text = body if isinstance(body, str) else body.decode(json.detect_encoding(body))
        data = _decoder(error).decode(text)  # type: ignore[arg-type]  # a class is hashable
        escaped = "\\u" in body if isinstance(body, str) else b"\\u" in body
        if escaped or not body.isascii():
            json.dumps(data, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as fault:  # also a number of more digits than Python reads
        raise error(f"the body is not JSON ({str(fault)[:200]})", remedy="send one UTF-8 JSON object") from fault
    return build(cls, data, error)


@lru_cache(maxsize=32)
def _decoder(error: type[InvalidInput]) -> json.JSONDecoder:
    """A decoder that raises `error` for a duplicate key, NaN and Infinity: made once, as every message needs it."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise error("a JSON object holds the same key twice", remedy="send each key once")
        return table

    def refuse(literal: str) -> float:
        raise error(f"the JSON holds {literal}", remedy="send finite numbers only")

    return json.JSONDecoder(object_pairs_hook=unique, parse_constant=refuse)


def from_toml(cls: type[T], text: str, error: type[InvalidInput], name: str) -> T:
    """Parse TOML and `build`; `name` says in an error which file it is, such as "task"."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as fault:
        raise error(f"the {name} file is not TOML ({fault})", remedy="correct that line") from fault
    return build(cls, data, error)


def to_json(value: Any) -> bytes:
    """The canonical JSON of a dataclass: sorted keys, no spaces, UTF-8. Equal values give equal bytes."""
    return _CANONICAL.encode(value).encode()


def _by_name(value: Any) -> dict[str, Any]:
    """A dataclass as a dict. `dataclasses.asdict` would copy whatever is in it, for every message anew."""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_by_name
)


@lru_cache(maxsize=128)
def _fields(cls: type[Any]) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    """Type hints and fields by name: looked up once per class, as every message of a device needs them."""
    return typing.get_type_hints(cls), {field.name: field for field in dataclasses.fields(cls)}


def _value(hint: Any, value: Any, error: type[InvalidInput], path: str) -> Any:
    """Check one value against its type hint; return it, as the tuple or dataclass that the hint asks for."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _union(arguments, value, error, path)
    if origin is typing.Literal:
        if value in arguments and type(value) in {type(option) for option in arguments}:
            return value
        raise error(f"{path} is {value!r}", remedy=f"choose one of {', '.join(map(repr, arguments))}")
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise error(f"{path} is {_name(value)}", remedy="make it a list")
        return tuple(_value(arguments[0], item, error, f"{path}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise error(f"{path} is {_name(value)}", remedy="make it a table of named values")
        return {key: _value(arguments[1], item, error, _join(path, key)) for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, error, path)
    return _scalar(hint, value, error, path)


def _union(options: tuple[Any, ...], value: Any, error: type[InvalidInput], path: str) -> Any:
    """The first option that fits, a whole number staying whole where both int and float do."""
    if value is None and type(None) in options:
        return None
    for option in options:
        if option is type(value):
            return _value(option, value, error, path)
    faults = []
    for option in options:
        if option is not type(None):
            try:
                return _value(option, value, error, path)
            except error as fault:
                faults.append(fault)
    raise faults[-1]


def _scalar(hint: type, value: Any, error: type[InvalidInput], path: str) -> Any:
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise error(f"{path} is not finite", remedy="use a finite number")
        return number
    if type(value) is hint:
        return value
    raise error(f"{path} is {_name(value)}", remedy=f"make it {_article(hint.__name__)}")


def _name(value: object) -> str:
    return "null" if value is None else f"{_article(type(value).__name__)} ({str(value)[:40]!r})"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

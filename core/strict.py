"""Dataclasses from JSON and TOML: exactly the named fields, exactly the annotated types, within their limits.

A file that a person writes is read strictly: an unknown key is an error that names the dotted path, and a key that has
another name now is read under both. A message of the protocol is read as clients of other versions need it: what is
unknown is ignored. Nothing is coerced but a whole number where a float is wanted. `check` asks the same of a dataclass
that was made in Python.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Point:
    ...     x: float
    ...     y: float = 0.0
    >>> build(Point, {"x": 1}, InvalidMessage), from_json(Point, '{"x": 2, "z": 3}')
    (Point(x=1.0, y=0.0), Point(x=2.0, y=0.0))
"""

import dataclasses
import math
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fedrela.core.errors import InvalidInput, InvalidMessage
from fedrela.core.protocol import json_text
from fedrela.core.protocol.json_text import encode as to_json
from fedrela.core.protocol.limits import Limit

__all__ = ["Former", "build", "check", "from_json", "from_toml", "shown", "to_json", "toml_text"]

T = TypeVar("T")
MOST_BITS_SHOWN = 350  # a hundred digits and a few
_PLAIN = (str, int, bool)  # values of these types are right whatever they are


@dataclasses.dataclass(frozen=True)
class Former:
    """What a key was called before. A class lists them as `FORMER_KEYS = {"enrol": Former("enroll")}`."""

    name: str  # what it is called now
    convert: Callable[[Any], Any] = lambda value: value


def build(cls: type[T], data: object, error: type[InvalidInput], path: str = "", *, ignore_unknown: bool = False) -> T:
    """Make the dataclass `cls` from the mapping `data`; raise `error` naming the path of the first fault."""
    if not isinstance(data, Mapping):
        raise error(f"{path or 'the document'} is {_name(data)}", remedy="make it a table of named values")
    hints, fields = _fields(cls)  # type: ignore[arg-type]
    if not ignore_unknown:
        data = _current_names(cls, data, error, path)
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
            values[name] = value if plain else _value(hint, value, error, _join(path, name), ignore_unknown)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise error(f"key {_join(path, name)!r} is missing", remedy="add it")
    return cls(**values)


def check(value: object, error: type[InvalidInput], path: str = "") -> None:
    """Raise `error` for a field that `build` would refuse: a wrong type, or a value beyond its limits.

    For `__post_init__`, so that a value has been checked however it was made.
    """
    for name, hint in _fields(type(value))[0].items():  # type: ignore[arg-type]  # a class is hashable
        _value(hint, getattr(value, name), error, _join(path, name), False)


def from_json(cls: type[T], body: bytes | str, error: type[InvalidInput] = InvalidMessage) -> T:
    """A message of the protocol, by the rules of `json_text`; members that are unknown here are ignored."""
    return build(cls, json_text.parse(body, error), error, ignore_unknown=True)


def from_toml(
    cls: type[T],
    text: str,
    error: type[InvalidInput],
    name: str,
    complete: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict,
) -> T:
    """Parse TOML, `complete` the values and `build`; `name` says in an error which file it is, such as "task"."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as fault:  # a whole number of more than 4300 digits is no TOMLDecodeError
        raise error(f"the {name} file is not TOML ({fault})", remedy="correct that line") from fault
    return build(cls, complete(data), error)


def toml_text(path: Path, error: type[InvalidInput], name: str) -> str:
    """The text of a TOML file: UTF-8 whatever the locale, as the format says; editors' byte-order mark is none of it.

    Raises `error` for one that can't be read; `name` says in it which file it is.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise error(f"the {name} file {path} can't be read ({fault})", remedy="name a TOML file in UTF-8") from fault


def shown(value: object, text: Callable[[Any], str] = repr) -> str:
    """A value for an error's text, at most 100 characters: Python makes no text of an absurdly long whole number.

    >>> shown([1, 2]), shown(1 << 19_999)
    ('[1, 2]', 'a number of 20000 bits')
    """
    if isinstance(value, int) and value.bit_length() > MOST_BITS_SHOWN:
        return f"a number of {value.bit_length()} bits"
    try:
        return text(value)[:100]
    except ValueError:
        return "too long to show"


def _current_names(cls: type[Any], data: Mapping[str, Any], error: type[InvalidInput], path: str) -> Mapping[str, Any]:
    """The same values, each key by the name that it has now. Raises `error` where one stands under two names."""
    former_keys: Mapping[str, Former] = getattr(cls, "FORMER_KEYS", {})
    renamed = {key: former_keys[key] for key in data if key in former_keys}
    if not renamed:
        return data
    values = {key: value for key, value in data.items() if key not in renamed}
    for key, former in renamed.items():
        if former.name in values:
            raise error(
                f"both {_join(path, former.name)} and {_join(path, key)} are there",
                remedy=f"keep {former.name}, its name now",
            )
        values[former.name] = former.convert(data[key])
    return values


@lru_cache(maxsize=128)
def _fields(cls: type[Any]) -> tuple[dict[str, Any], dict[str, dataclasses.Field[Any]]]:
    """Type hints and fields by name: looked up once per class, as every message of a device needs them."""
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls, include_extras=True)
    return {name: hints[name] for name in fields}, fields


def _value(hint: Any, value: Any, error: type[InvalidInput], path: str, ignore_unknown: bool) -> Any:
    """Check one value against its type hint; return it, as the tuple or dataclass that the hint asks for."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _limited(arguments, value, error, path, ignore_unknown)
    if origin in (types.UnionType, typing.Union):
        return _union(arguments, value, error, path, ignore_unknown)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise error(f"{path} is {_name(value)}", remedy="make it a list")
        items = (_value(arguments[0], item, error, f"{path}[{at}]", ignore_unknown) for at, item in enumerate(value))
        return tuple(items)
    if origin is dict:
        return _table(arguments, value, error, path, ignore_unknown)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else build(hint, value, error, path, ignore_unknown=ignore_unknown)
    return _choice(arguments, value, error, path) if origin is typing.Literal else _scalar(hint, value, error, path)


def _table(arguments: tuple[Any, ...], value: Any, error: type[InvalidInput], path: str, ignore_unknown: bool) -> Any:
    """Named values, all of one type."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise error(f"{path} is {_name(value)}", remedy="make it a table of named values")
    for key in value:
        _value(arguments[0], key, error, path, False)
    return {key: _value(arguments[1], item, error, _join(path, key), ignore_unknown) for key, item in value.items()}


def _limited(arguments: tuple[Any, ...], value: Any, error: type[InvalidInput], path: str, ignore_unknown: bool) -> Any:
    """A value of an annotated type, if it lies within its limits."""
    checked = _value(arguments[0], value, error, path, ignore_unknown)
    for limit in arguments[1:]:
        bound: Limit = limit
        if not bound.holds(checked):
            raise error(f"{path} is {shown(checked)}", remedy=bound.remedy())
    return checked


def _union(options: tuple[Any, ...], value: Any, error: type[InvalidInput], path: str, ignore_unknown: bool) -> Any:
    """The first option that fits, a whole number staying whole where both int and float do."""
    if value is None and type(None) in options:
        return None
    for option in options:
        if option is type(value):
            return _value(option, value, error, path, ignore_unknown)
    faults = []
    for option in options:
        if option is not type(None):
            try:
                return _value(option, value, error, path, ignore_unknown)
            except error as fault:
                faults.append(fault)
    raise faults[-1]


def _choice(options: tuple[Any, ...], value: Any, error: type[InvalidInput], path: str) -> Any:
    if isinstance(value, str | int) and value in options and type(value) in {type(option) for option in options}:
        return value
    raise error(f"{path} is {shown(value)}", remedy=f"choose one of {', '.join(map(repr, options))}")


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
    return "null" if value is None else f"{_article(type(value).__name__)} ({shown(value, str)[:40]!r})"


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key

"""The table of a task's fields, as the page for other clients prints it: from the annotations that Python reads.

    >>> rows()[1]
    ('rounds', 'whole', '', '1 to 1000000')

`python -m fedrela.conformance.generate` writes it into conformance/messages.md, between its two marks.
"""

import dataclasses
import json
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from fedrela.core.protocol.limits import Between, Length, Limit, Text
from fedrela.core.protocol.task_json import PROTOCOL_DEFAULTS
from fedrela.core.task import Task

BEGIN, END = "<!-- fields of a task: begin -->", "<!-- fields of a task: end -->"
# What the annotations don't say.
_MORE = {
    "seed": "0 to 2^53 - 1, or a text of 1 to 100 digits without a leading zero",
    "relabel.start": "whole: 1 to 1000000; else above 0, below 1",
    "eligibility.hours": "empty, or HH:MM-HH:MM with unequal ends",
    "round.minimum": "1 to round.goal",
    "privacy.group_minimum": "5 to privacy.group_target",
    "round.smallest_cohort": "1 to round.goal; 5 in a task that says nothing when it is published",
}
_TYPES = {int: "whole", float: "number", str: "text", bool: "true or false"}

Row = tuple[str, str, str, str]


def rows() -> list[Row]:
    """Path, type, the protocol's default (empty: none) and limits of every field of a task."""
    return list(_rows(Task, PROTOCOL_DEFAULTS, ""))


def table() -> str:
    """The rows as Markdown."""
    lines = [f"| `{path}` | {kind} | {default} | {limits} |" for path, kind, default, limits in rows()]
    return "\n".join(["| field | type | default | limits |", "|---|---|---|---|", *lines])


def insert(page: str) -> str:
    """The page with today's table between its marks."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def _rows(cls: type[Any], defaults: Mapping[str, Any], prefix: str) -> Iterator[Row]:
    hints = typing.get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        hint, path = hints[field.name], f"{prefix}{field.name}"
        if dataclasses.is_dataclass(hint):
            yield from _rows(typing.cast(type[Any], hint), defaults[field.name], f"{path}.")
        else:
            default = f"`{json.dumps(defaults[field.name])}`" if field.name in defaults else ""
            yield path, _type(hint), default, _MORE.get(path) or _limits(hint)


def _type(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return "text"
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"object of {_type(arguments[1])}"
    return _TYPES.get(hint, "number")


def _limits(hint: Any) -> str:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{option}`" for option in arguments)
    if origin is not Annotated:
        return ""
    inner = _limits(arguments[0]) if typing.get_origin(arguments[0]) is Annotated else ""
    return "; ".join(filter(None, [inner, *(_limit(limit) for limit in arguments[1:])]))


def _limit(limit: Limit) -> str:
    if isinstance(limit, Between):
        least = f"above {limit.least:g}" if limit.above else f"{limit.least:g}"
        return f"{least} to below {limit.most:g}" if limit.below else f"{least} to {limit.most:.17g}"
    if isinstance(limit, Length):
        return f"length {limit.least} to {limit.most}"
    return limit.what if isinstance(limit, Text) else ""

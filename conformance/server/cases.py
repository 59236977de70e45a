"""The cases of `vectors/http.json`, as values.

>>> load()["plain-round"].right[0].log
('enroll', 'check-in', 'update')
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fedrela.conformance.files import read_json

Fault = Literal["", "lost", "cut", "killed", "gzip", "whole", "elsewhere", "changed", "longer"]

# The publisher's seal of the assignment: left out, by a key that the link doesn't name, over another manifest, or with
# a signature that is none.
SealFault = Literal["", "missing", "another-publisher", "another-program", "forged"]


@dataclass(frozen=True)
class Answer:
    """One answer, where it is not the usual one. `label` is how the log of the requests names it.

    With a `status` other than 0 the request was not carried out: nothing of it is kept.

    fault      lost       carried out, then the connection is closed without an answer
               killed     carried out, not answered: the client is killed meanwhile
               cut        the connection is closed after `keep_bytes` of the body
               gzip       compressed, though the request did not ask for it
               whole      200 with the whole blob where a range was asked for
    elsewhere  206, with the range from 0 where another was asked for
               changed    the last byte is another one
               longer     one byte more than there is
    """

    label: str = ""
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    members: Mapping[str, Any] = field(default_factory=dict)  # put into the usual JSON answer, table by table
    fault: Fault = ""
    keep_bytes: int = 0
    pad_bytes: int = 0  # of white space behind the JSON answer
    signed_for: Mapping[str, str] = field(
        default_factory=dict
    )  # device_id, population, nonce, private_key: not the usual
    closes: bool = False  # the assignment is over: whoever checks in next is told that nothing is left to do


@dataclass(frozen=True)
class Pause:
    """How long the client must wait after the request that the log calls `after`, in seconds."""

    after: str
    least_seconds: float
    most_seconds: float = 3600.0


@dataclass(frozen=True)
class Right:
    """One right outcome: the requests in order, each with the label of its answer. `who`: for which clients."""

    log: tuple[str, ...]
    who: str = ""


@dataclass(frozen=True)
class Case:
    """What the server does, and what a client must do then."""

    name: str
    about: str
    right: tuple[Right, ...]  # any one of them
    script: Mapping[str, tuple[Answer, ...]] = field(default_factory=dict)  # kind of request -> answers in turn
    round: str = "max-steps"  # of rounds/cases.json: task, round and the right update
    task: Mapping[str, Any] = field(default_factory=dict)  # values over those of the round's task
    manifest: tuple[tuple[tuple[Any, ...], Any], ...] = ()  # path and new value
    blobs: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # name -> text | tensor, add or fill | pad_bytes
    assignment: Mapping[str, Any] = field(default_factory=dict)  # values over the usual ones
    seal: SealFault = ""
    update: str = "expected"  # or "any": of the right form; or "same as <case>": as the same client sent there
    pauses: tuple[Pause, ...] = ()
    kill_after_steps: int = 0  # the client is killed once it has said so many lines that begin with "step "
    start_again_seconds: float = 0.0  # after a kill, counted from the first assignment; 0: at once
    slow: bool = False  # takes minutes for a client that can't hurry


def load() -> dict[str, Case]:
    """Every case by its name, in order."""
    return {item["name"]: _case(item) for item in read_json("http.json")["cases"]}


def _case(item: Mapping[str, Any]) -> Case:
    values = dict(item)
    values["right"] = tuple(Right(tuple(right["log"]), right.get("who", "")) for right in item["right"])
    values["script"] = {
        kind: tuple(Answer(**answer) for answer in answers) for kind, answers in item.get("script", {}).items()
    }
    values["manifest"] = tuple((tuple(path), value) for path, value in item.get("manifest", ()))
    values["pauses"] = tuple(Pause(**pause) for pause in item.get("pauses", ()))
    return Case(**values)


def without_defaults(value: Any) -> Any:
    """A dataclass as JSON's values; what is as usual is left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        made: dict[str, Any] = {}
        for item in dataclasses.fields(value):
            default = item.default_factory() if callable(item.default_factory) else item.default
            inner = getattr(value, item.name)
            if inner != default:
                made[item.name] = without_defaults(inner)
        return made
    if isinstance(value, Mapping):
        return {key: without_defaults(one) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return [without_defaults(one) for one in value]
    return value

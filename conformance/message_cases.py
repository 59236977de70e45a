"""Vectors for the JSON that a device reads: tasks, manifests, answers of the coordinator.

Every case is the text of a body and whether a client must accept it. A body that a client refuses must change nothing
on the device.

    >>> {case["valid"] for case in build()["cases"]}
    {False, True}
"""

import base64
import json
from collections.abc import Callable
from typing import Any

from fedrela.conformance import limit_cases, placeholders
from fedrela.conformance.message_edits import EDITS, GOOD_EDITS, MALFORMED, NOT_UTF8, TASKS, WAITS
from fedrela.core import signing, strict
from fedrela.core.bundle import Golden, Manifest, Preprocessing, ProgramInput, parse_manifest
from fedrela.core.protocol import task_json
from fedrela.core.protocol.seals import Seal
from fedrela.core.task import Task
from fedrela.core.wire import Assignment, CheckInResponse, EnrollResponse, Problem, UpdateReceipt, Wait

_HASH = signing.sha256(b"")
FIRST_KEY = {  # that each kind's faults are tried on; required, but for CheckInResponse's
    "CheckInResponse": "assignment",
    "EnrollResponse": "device_id",
    "UpdateReceipt": "round",
    "Problem": "code",
    "Task": "name",
    "Manifest": "classes",
}


def manifest() -> Manifest:
    """A small manifest with an input of every kind; its program files exist only as hashes."""
    state = (
        ProgramInput("w", "parameter", (3, 4)),
        ProgramInput("running", "buffer", (3,)),
        ProgramInput("velocity.w", "optimizer", (3, 4)),
        ProgramInput("anchor.w", "anchor", (3, 4)),
    )
    more = (
        ProgramInput("lr", "hyperparameter", ()),
        ProgramInput("noise", "random", ("B", 2)),
        ProgramInput("prior", "class_prior", (3,)),
    )
    return Manifest(
        name="vectors",
        classes=3,
        **placeholders.programs(state, ProgramInput("x", "x", ("B", 2, 2), "uint8"), 3, *more),
        golden=Golden("golden.safetensors", _HASH, 10),
        hyperparameters={"lr": 0.1},
        class_names=("cat", "dog", "Vögel"),
        preprocessing=Preprocessing("image", grayscale=True, fit="crop"),
        lowest_values={"running": 0.0},
    )


PARSERS: dict[str, Callable[[bytes], object]] = {
    "CheckInResponse": lambda body: strict.from_json(CheckInResponse, body),
    "EnrollResponse": lambda body: strict.from_json(EnrollResponse, body),
    "UpdateReceipt": lambda body: strict.from_json(UpdateReceipt, body),
    "Problem": lambda body: strict.from_json(Problem, body),
    "Task": task_json.decode,
    "Manifest": parse_manifest,
}


def good() -> dict[str, Any]:
    """A good message of each kind."""
    seal = Seal(_HASH, _HASH, "00" * 32, "00" * 64)
    assignment = Assignment("a", "t", 1, _HASH, _HASH, _HASH, 10, 300.0, 60.0, "u", 1, "00", seal)
    return {
        "CheckInResponse": CheckInResponse(assignment=assignment),
        "EnrollResponse": EnrollResponse("d", "token", "00" * 32, "default"),
        "UpdateReceipt": UpdateReceipt(1),
        "Problem": Problem("Gone", 410, "expired", "the link has expired", "ask for a new one"),
        "Task": Task(name="digits", rounds=20),
        "Manifest": manifest(),
    }


def build() -> dict[str, Any]:
    """The document messages.json."""
    bodies: dict[str, Any] = {kind: json.loads(strict.to_json(value)) for kind, value in good().items()}
    wait = CheckInResponse(wait=Wait(30.0, "no-task"))
    waiting = json.loads(strict.to_json(wait))
    cases = [_case(kind, "good", _dump(body), True) for kind, body in bodies.items()]
    cases.append(_case("CheckInResponse", "wait", _dump(waiting), True))
    for kind, body in bodies.items():
        cases += _of_any_kind(kind, body)
    cases += [_edited(bodies[kind], kind, name, path, value) for kind, name, path, value in EDITS]
    cases += [_edited(bodies[kind], kind, name, path, value, valid=True) for kind, name, path, value in GOOD_EDITS]
    cases += [_edited(waiting, "CheckInResponse", *edit, valid=True) for edit in WAITS]
    cases += [_case("Task", name, f'{{"name":"a","rounds":2,{text}}}', valid) for name, text, valid in TASKS]
    cases += [_case(kind, name, text, False) for kind, name, text in MALFORMED]
    cases += [
        {"kind": "Task", "name": name, "valid": False, "base64": base64.b64encode(body).decode()}
        for name, body in NOT_UTF8
    ]
    for kind, value in (*good().items(), ("CheckInResponse", wait)):
        cases += limit_cases.cases(kind, type(value), json.loads(strict.to_json(value)), PARSERS[kind])
    return {"cases": cases}


def _of_any_kind(kind: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What every reader takes, and what every one refuses."""
    first = FIRST_KEY[kind]
    rest = {key: value for key, value in body.items() if key != first}
    return [
        _case(kind, "an unknown key", _dump({**body, "surplus": {"a": [1, None]}}), True),
        _case(kind, "a key twice in what is unknown", _dump(body)[:-1] + ', "surplus": {"a": 1, "a": 2}}', False),
        _case(kind, "too much depth in what is unknown", _dump({**body, "surplus": _nested(64)}), False),
        _case(kind, "as much depth as there may be", _dump({**body, "surplus": _nested(63)}), True),
        _case(kind, "not JSON", _dump(body)[:-1], False),
        _case(kind, "a list", "[]", False),
        _case(kind, "null", "null", False),
        _case(kind, "a byte-order mark", "\ufeff" + _dump(body), False),
        _case(kind, "duplicate key", _dump(body)[:-1] + f', "{first}": null}}', False),
        _case(kind, "wrong type", _dump({**body, first: [1]}), False),
        _case(kind, "a key is missing", _dump(rest), False),
    ]


def _nested(depth: int) -> Any:
    return [_nested(depth - 1)] if depth > 1 else []


def _edited(
    body: dict[str, Any], kind: str, name: str, path: tuple[Any, ...], value: Any, *, valid: bool = False
) -> dict[str, Any]:
    copy = json.loads(json.dumps(body))
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return _case(kind, name, _dump(copy), valid)


def _case(kind: str, name: str, body: str, valid: bool) -> dict[str, Any]:
    return {"kind": kind, "name": name, "valid": valid, "body": body}


def _dump(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False)

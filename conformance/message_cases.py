"""Vectors for the JSON that a device reads: tasks, manifests, answers of the coordinator.

Every case is the text of a body and whether a client must accept it. A body that a client refuses must change nothing
on the device.

    >>> {case["valid"] for case in build()["cases"]}
    {False, True}
"""

import json
from typing import Any

from fedrela.core import signing, strict
from fedrela.core.bundle import Golden, Manifest, Preprocessing, Program, ProgramFile, ProgramInput
from fedrela.core.task import Task
from fedrela.core.wire import Assignment, CheckInResponse, EnrollResponse, Problem, UpdateReceipt, Wait

_HASH = signing.sha256(b"")
FIRST_KEY = {  # that each kind's faults are tried on; required, but for CheckInResponse's
    "CheckInResponse": "assignment",
    "EnrolResponse": "device_id",
    "UpdateReceipt": "round",
    "Problem": "code",
    "Task": "name",
    "Manifest": "classes",
}


def manifest() -> Manifest:
    """A small manifest; its program files exist only as hashes."""

    def file(name: str) -> tuple[ProgramFile, ...]:
        return (ProgramFile("onnx", f"{name}.onnx", signing.sha256(name.encode()), 100, "1.17"),)

    weights = (ProgramInput("w", "parameter", (3, 4)), ProgramInput("running", "buffer", (3,)))
    x = ProgramInput("x", "x", ("B", 2, 2), "uint8")
    step = (
        *weights,
        ProgramInput("velocity.w", "optimizer", (3, 4)),
        ProgramInput("anchor.w", "anchor", (3, 4)),
        x,
        ProgramInput("y", "y", ("B",), "int64"),
        ProgramInput("weight", "weight", ("B",)),
        ProgramInput("lr", "hyperparameter", ()),
        ProgramInput("noise", "random", ("B", 2)),
        ProgramInput("prior", "class_prior", (3,)),
    )
    relabel = (
        ProgramInput("probabilities", "probabilities", ("N", 3)),
        ProgramInput("labels", "labels", ("N",), "int64"),
        ProgramInput("uniforms", "uniforms", ("N", 3)),
        ProgramInput("threshold_percent", "threshold_percent", ()),
    )
    outputs = ("new.w", "new.running", "new.velocity.w", "loss_sum", "correct_sum", "weight_sum")
    return Manifest(
        name="vectors",
        classes=3,
        train_step=Program(step, outputs, file("train_step")),
        predict=Program((*weights, x), ("probabilities",), file("predict")),
        relabel=Program(relabel, ("new_labels", "flip_rate"), file("relabel")),
        golden=Golden("golden.safetensors", _HASH, 10),
        hyperparameters={"lr": 0.1},
        class_names=("cat", "dog", "Vögel"),
        preprocessing=Preprocessing("image", True, False),
    )


def build() -> dict[str, Any]:
    """The document messages.json."""
    assignment = Assignment("a", "t", 1, _HASH, _HASH, _HASH, 10, 300.0, 60.0, "u", "00")
    good = {
        "CheckInResponse": CheckInResponse(assignment=assignment),
        "EnrolResponse": EnrollResponse("d", "token", "00" * 32, "default"),
        "UpdateReceipt": UpdateReceipt(1),
        "Problem": Problem("Gone", 410, "expired", "the link has expired", "ask for a new one"),
        "Task": Task(name="digits", rounds=20),
        "Manifest": manifest(),
    }
    bodies = {kind: json.loads(strict.to_json(value)) for kind, value in good.items()}
    cases = [_case(kind, "good", strict.to_json(value).decode(), True) for kind, value in good.items()]
    wait = CheckInResponse(wait=Wait(30.0, "no-task"))
    cases.append(_case("CheckInResponse", "wait", strict.to_json(wait).decode(), True))
    cases.append(_case("Task", "only what has no default", '{"name":"digits","rounds":20}', True))
    for kind, body in bodies.items():
        first = FIRST_KEY[kind]
        cases += [
            _case(kind, "unknown key", _dump({**body, "surplus": 1}), False),
            _case(kind, "not JSON", _dump(body)[:-1], False),
            _case(kind, "a list", "[]", False),
            _case(kind, "duplicate key", _dump(body)[:-1] + f', "{first}": null}}', False),
            _case(kind, "wrong type", _dump({**body, first: [1]}), False),
        ]
        if kind != "CheckInResponse":
            rest = {key: value for key, value in body.items() if key != first}
            cases.append(_case(kind, "a key is missing", _dump(rest), False))
    cases += [_edited(bodies[kind], kind, name, path, value) for kind, name, path, value in EDITS]
    cases += [_edited(bodies[kind], kind, name, path, value, valid=True) for kind, name, path, value in GOOD_EDITS]
    cases.append(_case("Task", "not a number", '{"name":"a","rounds":2,"local":{"hyperparameters":{"lr":NaN}}}', False))
    cases.append(_case("Task", "overflows", '{"name":"a","rounds":2,"local":{"hyperparameters":{"lr":1e999}}}', False))
    cases.append(_case("Task", "text after the object", '{"name":"a","rounds":2} x', False))
    cases.append(_case("Task", "a comment", '{"name":"a", /* why */ "rounds":2}', False))
    cases.append(_case("Task", "trailing comma", '{"name":"a","rounds":2,}', False))
    cases.append(_case("Task", "half a character", '{"name":"a","rounds":2,"population":"\\ud800"}', False))
    cases.append(
        _case("Manifest", "half a character", _dump({**bodies["Manifest"], "loss": "?"}).replace("?", "\\udc00"), False)
    )
    cases.append(_case("Task", "a number of 5000 digits", '{"name":"a","rounds":2,"seed":' + "9" * 5000 + "}", False))
    cases.append(_case("Task", "escaped text", '{"name":"\\u0061-1","rounds":2}', True))
    return {"cases": cases}


# kind, what is wrong, path, new value
EDITS: tuple[tuple[str, str, tuple[Any, ...], Any], ...] = (
    ("EnrolResponse", "protocol is text", ("protocol",), "1"),
    ("CheckInResponse", "round is fractional", ("assignment", "round"), 1.0),
    ("CheckInResponse", "unknown key inside", ("assignment", "labels"), []),
    ("CheckInResponse", "lease is text", ("assignment", "compute_lease_seconds"), "300"),
    ("CheckInResponse", "assignment is text", ("assignment",), "a"),
    ("CheckInResponse", "a boolean for a number", ("assignment", "checkpoint_bytes"), True),
    ("UpdateReceipt", "duplicate is a number", ("duplicate",), 0),
    ("Problem", "status is fractional", ("status",), 410.5),
    ("Task", "no rounds", ("rounds",), 0),
    ("Task", "name with a slash", ("name",), "a/b"),
    ("Task", "negative seed", ("seed",), -1),
    ("Task", "no epochs", ("local", "epochs"), 0),
    ("Task", "fractional epochs", ("local", "epochs"), 1.5),
    ("Task", "empty batch", ("local", "batch_size"), 0),
    ("Task", "threshold beyond 100", ("relabel", "threshold_percent"), 100.5),
    ("Task", "start at share 1", ("relabel", "start"), 1.0),
    ("Task", "start at round 0", ("relabel", "start"), 0),
    ("Task", "start after the last round", ("relabel", "start"), 21),
    ("Task", "no passes", ("relabel", "passes"), 0),
    ("Task", "learning rate scale 0", ("relabel", "lr_scale"), 0.0),
    ("Task", "unknown encoding", ("aggregation", "encoding"), "float8"),
    ("Task", "top-k fraction 0", ("aggregation", "top_k_fraction"), 0.0),
    ("Manifest", "another schema version", ("schema_version",), 2),
    ("Manifest", "one class", ("classes",), 1),
    ("Manifest", "too few class names", ("class_names",), ["cat"]),
    ("Manifest", "path leaves the folder", ("golden", "path"), "../golden.safetensors"),
    ("Manifest", "path with a folder", ("predict", "files", 0, "path"), "a/b.onnx"),
    ("Manifest", "path is empty", ("predict", "files", 0, "path"), ""),
    ("Manifest", "path is a parent", ("predict", "files", 0, "path"), ".."),
    ("Manifest", "program without a file", ("relabel", "files"), []),
    ("Manifest", "unknown role", ("predict", "inputs", 0, "role"), "secret"),
    ("Manifest", "unknown runtime", ("predict", "files", 0, "runtime"), "tflite"),
    ("Manifest", "size is text", ("golden", "size_bytes"), "10"),
    ("Manifest", "dimension is fractional", ("predict", "inputs", 0, "shape"), [2.5]),
)
GOOD_EDITS: tuple[tuple[str, str, tuple[Any, ...], Any], ...] = (
    ("CheckInResponse", "a whole number where a float is wanted", ("assignment", "compute_lease_seconds"), 300),
    ("Task", "start at a round", ("relabel", "start"), 20),
    ("Task", "start beyond the last round, not enabled", ("relabel",), {"enabled": False, "start": 99}),
    ("Manifest", "no class names", ("class_names",), []),
    ("Manifest", "no hyperparameters", ("hyperparameters",), None),
)


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

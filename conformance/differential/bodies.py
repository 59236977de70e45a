"""The good bodies that mutants are made of, by kind: a few of each, so that every limit is near some of them.

>>> sorted(documents())[:2]
['CheckIn', 'CheckInResponse']
"""

import dataclasses
import json
import marshal
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import getitem
from typing import Any

import numpy as np

from fedrela.conformance import message_cases
from fedrela.conformance.differential.edges import Path, edges
from fedrela.core import tensors
from fedrela.core.manifest import Manifest
from fedrela.core.protocol import json_text
from fedrela.core.protocol.programs import Program, ProgramFile, ProgramInput
from fedrela.core.protocol.seals import Seal
from fedrela.core.secure.messages import (
    Certificate,
    RevealedShare,
    SealedShares,
    SecureAgreement,
    SecureKeys,
    SecureReveal,
    SecureShares,
)
from fedrela.core.task import Task
from fedrela.core.tensors import Array
from fedrela.core.wire import (
    Assignment,
    CheckIn,
    CheckInResponse,
    EnrollRequest,
    EnrollResponse,
    EvaluationReport,
    FailureReport,
    Problem,
    UpdateReceipt,
    Wait,
)

CLASSES: dict[str, type[Any]] = {
    "CheckInResponse": CheckInResponse,
    "EnrollResponse": EnrollResponse,
    "UpdateReceipt": UpdateReceipt,
    "Problem": Problem,
    "Task": Task,
    "Manifest": Manifest,
    "EnrollRequest": EnrollRequest,
    "CheckIn": CheckIn,
    "FailureReport": FailureReport,
    "EvaluationReport": EvaluationReport,
    "SecureKeys": SecureKeys,
    "SecureShares": SecureShares,
    "SecureAgreement": SecureAgreement,
    "SecureReveal": SecureReveal,
}
TO_COORDINATOR = (  # clients write these
    "EnrollRequest", "CheckIn", "FailureReport", "EvaluationReport",
    "SecureKeys", "SecureShares", "SecureAgreement", "SecureReveal",
)  # fmt: skip
_HASH = "0123456789abcdef" * 4
TENSORS = "Safetensors"
PROGRAM = "Program"


@dataclass(frozen=True)
class Good:
    """A good body, ready to be changed."""

    dumped: bytes
    paths: tuple[Path, ...]  # of every value in it
    numbers: tuple[Path, ...]
    lists: tuple[Path, ...]
    tables: tuple[Path, ...]
    around: tuple[tuple[Path, tuple[Any, ...]], ...]  # what lies at the limits of its fields


@lru_cache(maxsize=1)
def goods() -> dict[str, tuple[Good, ...]]:
    """The good bodies by kind."""
    return {kind: tuple(_good(kind, body) for body in bodies) for kind, bodies in documents().items()}


def _good(kind: str, body: Any) -> Good:
    paths = tuple(_paths(body))

    def of(*types: type) -> tuple[Path, ...]:
        return tuple(path for path in paths if type(reduce(getitem, path, body)) in types)

    around = tuple((path, tuple(values)) for path, values in edges(body, CLASSES[kind]).items())
    return Good(marshal.dumps(body), paths, of(int, float), of(list), of(dict), around)


def _paths(value: Any, path: Path = ()) -> list[Path]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, item in items for inner in _paths(item, (*path, key)))]


@lru_cache(maxsize=1)
def documents() -> dict[str, tuple[Any, ...]]:
    """Good JSON bodies of every kind, as plain values."""
    assignment = Assignment("a-1", "task.1", 3, _HASH, _HASH, _HASH, 100, 300.0, 60.0, "token!", 2, "ab" * 64)
    sealed = dataclasses.replace(assignment, seal=Seal(_HASH, _HASH, _HASH, _HASH * 2))
    small = message_cases.manifest()
    values: dict[str, tuple[Any, ...]] = {
        "CheckInResponse": (
            CheckInResponse(assignment),
            CheckInResponse(sealed),
            CheckInResponse(wait=Wait(30.0, "no-task")),
        ),
        "EnrollResponse": (EnrollResponse("d-1", "token", _HASH, "default"),),
        "UpdateReceipt": (UpdateReceipt(7, True),),
        "Problem": (Problem("Gone", 410, "expired", "the link has expired", "ask for a new one", "about:blank", 2.5),),
        "Task": (Task("digits", 20, seed=5),),
        "Manifest": (small, _bare(small), _large(small)),
        "EnrollRequest": (
            EnrollRequest("token", _HASH, _HASH[:32], _HASH * 2),
            EnrollRequest("token", _HASH, _HASH[:32], _HASH * 2, Certificate(_HASH, _HASH, _HASH * 2, _HASH * 2)),
        ),
        "CheckIn": (
            CheckIn("default", "python 0.2.0", ("onnx 1.28.0", "executorch 1.4.1"), _HASH[:32], ("secure-sum",)),
        ),
        "FailureReport": (FailureReport("training-failed"),),
        "EvaluationReport": (EvaluationReport(12.5, 7, 20),),
        "SecureKeys": (SecureKeys(_HASH, _HASH, _HASH * 2),),
        "SecureShares": (SecureShares(_HASH, _HASH, tuple(SealedShares(at, "ab" * 80) for at in (1, 3, 64))),),
        "SecureAgreement": (SecureAgreement(64, _HASH, _HASH * 2),),
        "SecureReveal": (
            SecureReveal(_HASH, (RevealedShare(1, _HASH), RevealedShare(3, _HASH)), (RevealedShare(2, _HASH),)),
        ),
    }
    plain = {kind: tuple(json.loads(json_text.encode(value)) for value in items) for kind, items in values.items()}
    plain["CheckInResponse"] += ({"wait": {"retry_after_seconds": 0, "reason": "finished"}},)
    plain["Task"] += ({"name": "digits", "rounds": 20}, *map(_settings, plain["Task"]))
    return plain


def _settings(task: dict[str, Any]) -> dict[str, Any]:
    """The whole task with what is empty by default filled in."""
    copy: dict[str, Any] = json.loads(json.dumps(task))
    copy["seed"] = "123456789012345678901234567890"
    copy["requires"] = ["secure-sum"]
    copy["relabel"] |= {"start": 3, "period": 2}
    copy["local"] |= {"hyperparameters": {"lr": 0.1, "momentum": 1}, "sampling": "class-balanced", "synthesis": "smote"}
    copy["eligibility"] |= {"hours": "22:00-06:00", "min_client_versions": {"any": "0.2", "page": "0.2.0+1"}}
    return copy


def _bare(manifest: Manifest) -> Manifest:
    """No more inputs than there must be, and nothing that has a default."""
    step = manifest.train_step
    weight, x, y, weights = (step.role(role)[0] for role in ("parameter", "x", "y", "weight"))
    outputs = (f"new.{weight.name}", "loss_sum", "correct_sum", "weight_sum")
    return dataclasses.replace(
        manifest,
        train_step=Program((weight, x, y, weights), outputs, step.files),
        predict=Program((x,), ("probabilities",), manifest.predict.files),
        hyperparameters=None,
        class_names=(),
        lowest_values={},
    )


def _large(manifest: Manifest) -> Manifest:
    """As much as the limits allow: classes, dimensions, elements, two examples' arrays, a file for every runtime."""
    classes = 1_000_000
    wide = ProgramInput("wide", "parameter", (2,) * 15 + (2**25,))
    x = (ProgramInput("x", "x", ("B", 2**31 - 1), "float16"), ProgramInput("tokens", "x", ("B",), "int64"))
    y, weight = ProgramInput("y", "y", ("B",), "int64"), ProgramInput("weight", "weight", ("B",))
    prior = ProgramInput("prior", "class_prior", (classes,))
    noise = (ProgramInput("noise", "random", ()), ProgramInput("more", "random", ("B", 7)))
    relabel = (
        ProgramInput("threshold_percent", "threshold_percent", ()),
        ProgramInput("probabilities", "probabilities", ("N", classes)),
        ProgramInput("uniforms", "uniforms", ("N", classes)),
        ProgramInput("labels", "labels", ("N",), "int64"),
    )
    files = (
        ProgramFile("onnx", "a.onnx", _HASH, 2**31 - 1, "", 1_000_000),
        ProgramFile("executorch", "...", _HASH, 1, "1.4.1"),
    )
    return dataclasses.replace(
        manifest,
        classes=classes,
        lowest_values={},
        train_step=Program(
            (*x, wide, y, weight, prior, *noise), ("new.wide", "loss_sum", "correct_sum", "weight_sum"), files
        ),
        predict=Program((*noise, wide, *x), ("probabilities",), files),
        relabel=Program(relabel, ("new_labels", "flip_rate"), files),
        hyperparameters={},
        class_names=(),
        requires=("secure-sum",),
    )


@lru_cache(maxsize=1)
def tensor_files() -> tuple[bytes, ...]:
    """Good safetensors files."""
    one_of_each: dict[str, Array] = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "half": np.ones(3, np.float16),
        "bytes": np.arange(4, dtype=np.uint8),
        "signed": np.array([-1, 1], np.int8),
        "ids": np.array([[1], [2]], np.int64),
        "flags": np.array([True, False]),
        "small": np.array(5, np.int32),
        "empty": np.zeros((0, 3), np.float32),
    }
    two = {"w": np.zeros((2, 2), np.float32), "b": np.ones(2, np.float32)}
    name = {"Vögel": np.ones(1, np.float32)}
    metadata = {"protocol": "1", "examples": "12", "encoding": "float32"}
    return (tensors.to_bytes(one_of_each), tensors.to_bytes(two, metadata), tensors.to_bytes(name))

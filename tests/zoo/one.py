"""One model of the zoo for one runtime, in a process of its own: built, exported, stepped beside eager PyTorch.

    python -m tests.zoo.one "torchvision resnet18" onnx

Prints JSON objects, one a line: the stages as they begin, then what came of it.
"""

import importlib
import json
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from fedrela.core.errors import FedRelaError
from fedrela.export import export_classifier
from fedrela.export.classifier import gather
from fedrela.export.tracing.model_analysis import analyze
from fedrela.export.tracing.preparation import prepare
from fedrela.export.verification.equality import TOLERANCE
from tests.zoo import cuda_builds, stepping
from tests.zoo.catalog import ENTRIES
from tests.zoo.entries import Entry

_ROOT = Path(__file__).parents[2]
_NOBODY = "11" * 32  # signs bundles that are thrown away
STEPPING = "20 steps beside eager PyTorch"  # the stage after the export


class _Ended(Exception):
    """With what came of the model."""


@contextmanager
def _as(outcome: str) -> Iterator[None]:
    """What is raised inside is that outcome; what the exporter raises on purpose is a refusal."""
    try:
        yield
    except FedRelaError as error:
        kind = type(error).__name__
        raise _Ended({"outcome": "refused", "error": kind, "problem": error.problem, "remedy": error.remedy}) from error
    except Exception as error:
        last = (str(error).strip().splitlines() or [""])[0][:300].replace(f"{_ROOT}/", "")
        raise _Ended(
            {"outcome": outcome, "error": f"{type(error).__name__}: {last}", "where": _where(error)}
        ) from error


def _where(error: Exception) -> str:
    """The last place in this repository that the error came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename).resolve()
        if path.is_file() and path.is_relative_to(_ROOT) and ".venv" not in str(path):
            return f"{path.relative_to(_ROOT)}:{frame.name}"
    return ""


def _say(**line: Any) -> None:
    print(json.dumps(line), flush=True)


def _processor_seconds() -> float:
    """Of this process so far, and of those that it has waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def _of(entry: Entry, runtime: str) -> dict[str, Any]:
    """What comes of a model. Raises _Ended where that isn't a verified program."""
    _say(stage="build")
    torch.manual_seed(0)
    with _as("not built"):
        model = entry.build()
    known = {"parameters": sum(parameter.numel() for parameter in model.parameters())}
    _say(known=known)
    given, classes = entry.input, entry.classes
    with tempfile.TemporaryDirectory() as folder, _as("traceback"):
        out = Path(folder) / "bundle"
        exported = export_classifier(
            model, input=given, classes=classes, out=out, runtimes=(runtime,), max_batch=8, private_key=_NOBODY,
            report=lambda stage: _say(stage=stage),
        )  # fmt: skip
        _say(known={"export_processor_seconds": round(_processor_seconds(), 1)})
        _say(stage=STEPPING)
        recipe = gather(input=given, classes=classes)
        prepared = prepare(model, recipe)
        followed = stepping.follow(out, prepared, recipe, runtime, analyze(prepared, recipe).randoms)
    return {
        "outcome": "verified" if followed.largest_error <= TOLERANCE else "differs",
        "verified_within": exported.largest_error,
        "steps_within": followed.largest_error,
        "steps_worst": followed.worst,
        "undecided_by_float32": followed.undecided,
        "tensors": followed.tensors,
    }


def warm(runtimes: Sequence[str]) -> None:
    """Import what every model needs, for the processes that are forked from this one."""
    torch.set_num_threads(1)
    cuda_builds.make_importable()
    if "onnx" in runtimes:
        importlib.import_module("fedrela.export.onnx_programs.program")
    if "executorch" in runtimes:
        importlib.import_module("fedrela.export.executorch_programs.program")


def report(name: str, runtime: str) -> None:
    """Print what comes of a model, with its package's version."""
    warnings.simplefilter("ignore")
    entry = ENTRIES[name]
    try:
        _say(result={"version": metadata.version(entry.package)} | _of(entry, runtime))
    except metadata.PackageNotFoundError:
        _say(result={"outcome": "not built", "error": f"{entry.package} is not installed"})
    except _Ended as ended:
        _say(result={"version": metadata.version(entry.package)} | ended.args[0])


if __name__ == "__main__":
    warm(sys.argv[2:])
    report(*sys.argv[1:])

"""What came of each model, kept as a line of JSON per model and runtime.

>>> key({"model": "torchvision resnet18", "runtime": "onnx"})
('torchvision resnet18', 'onnx')
"""

import fcntl
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fedrela.export.verification.replay import RUNTIMES
from tests.zoo.catalog import ENTRIES

FILE = Path(__file__).parents[2] / "benchmarks" / "results" / "zoo.jsonl"
OUTCOMES = ("verified", "differs", "refused", "traceback", "over time", "over memory", "stuck", "not built")
Result = dict[str, Any]
Key = tuple[str, str]


def key(result: Result) -> Key:
    """Which model and runtime it is of."""
    return result["model"], result["runtime"]


def read(file: Path = FILE) -> dict[Key, Result]:
    """All that is kept, of models that there still are."""
    if not file.is_file():
        return {}
    with file.open() as kept:
        fcntl.flock(kept, fcntl.LOCK_SH)
        return _read(kept)


def keep(result: Result, file: Path = FILE) -> None:
    """Put one in place of the one before; several processes may do so, for a runtime each."""
    with file.open("a+") as kept:
        fcntl.flock(kept, fcntl.LOCK_EX)
        kept.seek(0)
        found = _read(kept) | {key(result): result}
        places = [(name, runtime) for name in ENTRIES for runtime in RUNTIMES]
        kept.truncate(0)
        kept.write("".join(json.dumps(found[place]) + "\n" for place in places if place in found))


def _read(lines: Iterable[str]) -> dict[Key, Result]:
    found = [json.loads(line) for line in lines]
    return {key(result): result for result in found if result["model"] in ENTRIES}

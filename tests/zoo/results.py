"""What came of each model, kept as a line of JSON per model and runtime.

>>> key({"model": "torchvision resnet18", "runtime": "onnx"})
('torchvision resnet18', 'onnx')
"""

import json
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
    found = [json.loads(line) for line in file.read_text().splitlines()]
    return {key(result): result for result in found if result["model"] in ENTRIES}


def keep(result: Result, file: Path = FILE) -> None:
    """Put one in place of the one before."""
    found = read(file) | {key(result): result}
    places = [(name, runtime) for name in ENTRIES for runtime in RUNTIMES]
    lines = [json.dumps(found[place]) for place in places if place in found]
    file.write_text("\n".join(lines) + "\n")

"""Where the vectors lie, and one way to write and read them.

>>> VECTORS.name
'vectors'
"""

import json
from pathlib import Path
from typing import Any

from fedrela.core import signing

VECTORS = Path(__file__).parent / "vectors"
PAGE = Path(__file__).parent / "messages.md"
ROUNDS_BUNDLE = VECTORS / "rounds" / "bundle"
PUBLISHER_KEY = "70" * 32  # of the vectors' bundles: known to everybody, so trusted by nobody else
PUBLISHER = signing.fingerprint(signing.public_key(PUBLISHER_KEY))


def write_json(path: Path, document: Any) -> None:
    """Write a document so that equal documents give equal bytes; one list of scalars stays on one line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(document, 0) + "\n", encoding="utf-8")


def read_json(name: str) -> Any:
    """The document `name` of the vectors."""
    return json.loads((VECTORS / name).read_text(encoding="utf-8"))


def _text(value: Any, depth: int) -> str:
    flat = json.dumps(value, ensure_ascii=True, allow_nan=False)
    if not isinstance(value, dict | list) or len(flat) <= 110 or _scalars(value):
        return flat
    inner, close = "\n" + " " * (depth + 1), "\n" + " " * depth
    if isinstance(value, list):
        return "[" + inner + ("," + inner).join(_text(item, depth + 1) for item in value) + close + "]"
    pairs = (f"{json.dumps(key)}: {_text(item, depth + 1)}" for key, item in value.items())
    return "{" + inner + ("," + inner).join(pairs) + close + "}"


def _scalars(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)

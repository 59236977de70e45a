"""Results on disk: one JSON line per finished cell, flushed to the disk before the next cell starts.

A kill -9 leaves at most one torn last line, which is cut off when the file is opened again: that cell runs again, all
others never do. Studies that run at the same time may share a file: a line is written under the file's lock.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "digits.jsonl"
    >>> append(path, {"key": "a", "overall": 0.5})
    >>> read(path)
    {'a': {'key': 'a', 'overall': 0.5}}
"""

import fcntl
import json
import math
import os
from pathlib import Path
from typing import Any

from fedrela.core.errors import InvalidInput

Row = dict[str, Any]


def read(path: Path) -> dict[str, Row]:
    """Finished cells by key; none where there is no file. A torn last line is ignored.

    Raises InvalidInput for a damaged line elsewhere, and for one without a key.
    """
    if not path.exists():
        return {}
    lines = path.read_bytes().split(b"\n")
    rows: dict[str, Row] = {}
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline was never finished
        try:
            row = json.loads(line)
            rows[row["key"]] = row
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"line {number} of {path} is no result ({error})", remedy="remove that line; its cell runs again"
            ) from error
    return rows


def append(path: Path, row: Row) -> None:
    """Add one finished cell durably. Cuts off a torn last line first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # gone with the file's descriptor, however this process ends
        _cut_torn_line(file)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def without_nan(value: Any) -> Any:
    """JSON has no NaN: what could not be measured is null, however deep it lies."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return value


def _cut_torn_line(file: Any) -> None:
    file.seek(0)
    body = file.read()
    if body and not body.endswith(b"\n"):
        file.truncate(body.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)

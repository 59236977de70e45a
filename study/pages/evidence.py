"""Which cells of which study have a result, in whatever file it is.

A cell that two studies share counts for both; a result that no shipped study asks for is kept under its file's name.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from fedrela.study import config
from fedrela.study.pages import report
from fedrela.study.pages.report import Comparison, ReferenceResult
from fedrela.study.runs import result_files
from fedrela.study.runs.cells import as_first_named, branch_settings, expand
from fedrela.study.runs.result_files import Row


@dataclass(frozen=True)
class Evidence:
    """What is known of one study: its finished cells, and what they compare."""

    name: str
    title: str
    command: str  # what runs all of it
    rows: tuple[Row, ...]
    cells: int  # that the study asks for

    @property
    def complete(self) -> bool:
        """Every cell ran."""
        return len(self.rows) == self.cells

    @property
    def compared(self) -> list[Comparison]:
        """Every method, setting and variant that has all its branches for a seed."""
        return report.compare(self.rows)

    @property
    def references(self) -> list[ReferenceResult]:
        """What was trained on the pooled data."""
        return report.references(self.rows)


def gather(folder: Path) -> dict[str, Evidence]:
    """Every shipped study by name, ran or not, and after them files of other results. Raises InvalidInput."""
    files = {path.stem: result_files.read(path) for path in sorted(folder.glob("*.jsonl"))}
    pool = {key: row for rows in files.values() for key, row in rows.items()}
    by_identity: dict[str, list[Row]] = {}
    for row in pool.values():
        by_identity.setdefault(identity(row), []).append(row)
    studies, known = {}, set()
    for name in config.shipped():
        study, _ = config.load(name)
        identities = list(dict.fromkeys(identity(cell.shown()) for cell in expand(study, "")))
        known.update(identities)
        rows = tuple(row for cell in identities for row in by_identity.get(cell, ())[-1:])
        studies[name] = Evidence(name, study.title, f"fedrela study longtail {name}", rows, len(identities))
    for stem, read in files.items():
        other = tuple(row for row in read.values() if identity(row) not in known)
        if other:
            title, command = f"Other results in {stem}.jsonl", other[0]["command"]
            studies[stem] = Evidence(stem, title, command, other, len(other))
    return studies


def identity(row: Row) -> str:
    """What tells two cells apart, but for the pixels: a page has no dataset at hand to hash."""
    parts = {name: row[name] for name in ("data", "model", "setting", "method", "arm", "start", "seed")}
    training = dict(row["training"])
    if row["arm"] == "trunk":
        del training["rounds"]
    variant = row["variant"] and branch_settings(row["arm"], row["variant"])
    return as_first_named(json.dumps(parts | {"training": training, "variant": variant}, sort_keys=True))

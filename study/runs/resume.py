"""Every cell of a study that is not finished yet, seed by seed, and one writer of results.

run(study, prepared, workspace, observer, command, jobs)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedrela.study.config import Study
from fedrela.study.data.prepared import Prepared
from fedrela.study.runs import groups, parallel, result_files
from fedrela.study.runs.cells import Cell, expand
from fedrela.study.runs.setups import CellObserver, Group, Workspace


class StudyObserver(CellObserver, Protocol):
    """Whoever shows how far a study is: work is counted in rounds; an epoch of a reference counts as one."""

    def begin(self, cells: int, finished: int, rounds: int) -> None:
        """So many cells, of which some are finished, and so many rounds to go."""
        ...


def run(
    study: Study, prepared: Prepared, workspace: Workspace, observer: StudyObserver, command: str, jobs: int = 1
) -> None:
    """Run what is not finished, `jobs` groups of cells at a time. May be killed at any time and started again."""
    cells = list(expand(study, prepared.sha256))
    done = set(result_files.read(workspace.results))
    todo = unfinished(cells, done)
    finished = len(cells) - sum(len(group.pending) for group in todo)
    observer.begin(len(cells), finished, sum(group.rounds(workspace) for group in todo))
    recorder = _Recorder(workspace.results, observer)
    if min(jobs, len(todo)) > 1:
        parallel.run(todo, prepared, workspace, command, recorder, min(jobs, len(todo)))
        return
    for group in todo:
        groups.run(group, prepared, workspace, command, recorder)


def unfinished(cells: Iterable[Cell], done: set[str]) -> list[Group]:
    """Cells that are not done, those that share a trunk together, in order."""
    trunks: dict[str, list[Cell]] = {}
    for cell in cells:
        trunks.setdefault(cell.trunk_key, []).append(cell)
    pending = [(tuple(cell for cell in group if cell.key not in done), group) for group in trunks.values()]
    return [Group(left, frozenset(cell.start for cell in group)) for left, group in pending if left]


@dataclass(frozen=True)
class _Recorder:
    """Puts every finished cell on disk before anyone hears of it: the only writer of a study's results."""

    path: Path
    observer: StudyObserver

    def advance(self, label: str, rounds: int, before: bool = False) -> None:
        self.observer.advance(label, rounds, before)

    def finished(self, row: result_files.Row) -> None:
        result_files.append(self.path, row)
        self.observer.finished(row)

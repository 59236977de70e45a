"""What a group of cells is, and what all cells of one group share.

setup = Setup(group, prepared, shards, workspace, command, observer)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedrela.core.bundle import Bundle
from fedrela.core.data import partition
from fedrela.edge.engines.engine import Engine
from fedrela.emulator.data.shards import Shards
from fedrela.study.data.prepared import Prepared
from fedrela.study.runs import fleet, result_files
from fedrela.study.runs.cells import Cell


class CellObserver(Protocol):
    """Whoever is told what is done."""

    def advance(self, label: str, rounds: int, before: bool = False) -> None:
        """More rounds are done; or were `before`, by a run that was killed."""
        ...

    def finished(self, row: result_files.Row) -> None:
        """A cell is finished."""
        ...


def counting(observer: CellObserver, label: str) -> Callable[[int], None]:
    """To be called with each round's number, once it is done: the rounds before the first one were done before."""
    last = 0

    def done(number: int) -> None:
        nonlocal last
        if number > last + 1:
            observer.advance(label, number - last - 1, before=True)
        observer.advance(label, 1)
        last = number

    return done


@dataclass(frozen=True)
class Workspace:
    """Where a study keeps things, and on what it trains.

    Results are for keeping; the work folder can be deleted at the price of trunks and trained models.
    """

    results: Path
    work: Path
    reference_device: str = "cpu"
    device: str = ""  # of PyTorch's, on which the fleet trains; none: the exported programs run, as devices run them
    pause: Path | None = None  # while this file is there, everything stands still

    @property
    def running(self) -> Path:
        """What runs need that were killed."""
        return self.work / "running"

    @property
    def models(self) -> Path:
        """The trained models, a folder for each finished federated cell."""
        return self.work / "models"

    def model(self, cell: Cell) -> Path:
        """The folder of a cell's trained model."""
        return self.models / f"{cell.method}-{cell.arm}-seed{cell.seed}-{cell.key}"

    def checkpoint(self, cell: Cell, start: int) -> Path:
        """The trunk's weights after `start` rounds."""
        return self.work / "trunks" / f"{cell.trunk_key}-{start}.safetensors"


@dataclass(frozen=True)
class Group:
    """The unfinished cells of one trunk, or one reference; and all starts of that trunk's branches."""

    pending: tuple[Cell, ...]
    starts: frozenset[int]

    def trunk_rounds(self, workspace: Workspace) -> int:
        """How far the trunk must be trained; 0: every checkpoint that is needed is there."""
        needed = {cell.start for cell in self.pending if cell.arm != "reference"}
        return max((start for start in needed if not workspace.checkpoint(self.pending[0], start).exists()), default=0)

    def rounds(self, workspace: Workspace) -> int:
        """All rounds that the unfinished cells still take; an epoch of a reference counts as one."""
        branches = [cell.training.rounds - cell.start for cell in self.pending if cell.variant is not None]
        references = [cell.training.rounds * cell.training.epochs for cell in self.pending if cell.arm == "reference"]
        return self.trunk_rounds(workspace) + sum(branches) + sum(references)


@dataclass(frozen=True)
class Setup:
    """What all cells of one group share."""

    group: Group
    prepared: Prepared
    shards: Shards
    workspace: Workspace
    command: str
    observer: CellObserver

    @property
    def cell(self) -> Cell:
        """Any of them."""
        return self.group.pending[0]

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Classes by falling frequency: (many, medium, few)."""
        return partition.frequency_groups(self.shards.class_counts)

    def engine(self, cell: Cell, bundle: Bundle) -> Engine:
        """What trains a cell and predicts with its bundle. Raises InvalidBundle."""
        if not self.workspace.device:
            return fleet.engine(bundle)
        from fedrela.study.eager import opening  # where it is not asked for, nothing needs torch

        return opening.opened(cell, bundle, self.workspace.device)

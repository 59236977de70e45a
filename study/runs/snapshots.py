"""What a task of an emulated fleet needs to go on after a kill, kept after each of its rounds.

    files/            the coordinator's folder but its database: each file is written once
    NUMBER/           of the newest saved round: the database as it was, what devices remember, and how far the task is

A round's folder appears all at once, by its name; the one before goes after that.

    snapshots = Snapshots(folder)
    snapshots.save(coordinator_folder, Progress(task_id, 12), memories)
    snapshots.newest(); snapshots.restore(coordinator_folder)
"""

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fedrela.coordinator.settings import DATABASE_NAME
from fedrela.core import strict
from fedrela.core.errors import InvalidInput


@dataclass(frozen=True)
class Progress:
    """How far a task is, and what it took."""

    task_id: str
    round: int = 0  # that was committed last
    bytes_up: int = 0
    bytes_down: int = 0
    updates: int = 0
    seconds: float = 0.0  # without pauses


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one task; there is one at a time, but for a moment."""

    folder: Path
    every_seconds: float = 2.0  # rounds that take less than this share one

    def newest(self) -> Progress | None:
        """How far the newest is; None: there is none."""
        latest = self._latest()
        return strict.from_json(Progress, (latest / "progress.json").read_bytes()) if latest else None

    def save(self, coordinator: Path, progress: Progress, memories: bytes) -> None:
        """Keep what is there now, while nothing goes on. `coordinator`: its folder; `memories`: of the devices."""
        part = self.folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        kept = _mirror(coordinator, self.folder / "files")
        source, copy = sqlite3.connect(coordinator / DATABASE_NAME), sqlite3.connect(part / DATABASE_NAME)
        with closing(source), closing(copy):
            copy.execute("PRAGMA synchronous=OFF")  # for a kill, not for a power cut
            source.backup(copy)
        (part / "memories").write_bytes(memories)
        (part / "progress.json").write_bytes(strict.to_json(progress))
        former = [path for path in self.folder.iterdir() if path.name.isdigit()]
        part.rename(self.folder / str(progress.round))
        for path in former:
            shutil.rmtree(path)
        _prune(self.folder / "files", kept)

    def restore(self, coordinator: Path) -> bytes:
        """Put the coordinator's folder back, and give what the devices remembered."""
        latest = self._latest()
        if latest is None:
            raise InvalidInput(f"there is no snapshot in {self.folder}", remedy="begin the task anew")
        shutil.copytree(self.folder / "files", coordinator, dirs_exist_ok=True)
        shutil.copyfile(latest / DATABASE_NAME, coordinator / DATABASE_NAME)
        return (latest / "memories").read_bytes()

    def discard(self) -> None:
        """The task is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _latest(self) -> Path | None:
        rounds = [path for path in self.folder.glob("*") if path.name.isdigit()]
        return max(rounds, key=lambda path: int(path.name), default=None)


def _mirror(source: Path, target: Path) -> set[Path]:
    """Copy what `target` lacks, each file all or nothing; the relative paths of all that `source` has."""
    paths = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    paths = {path for path in paths if not path.name.startswith(DATABASE_NAME)}
    for path in paths:
        copy = target / path
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            part = copy.with_name(copy.name + ".part")
            shutil.copyfile(source / path, part)
            os.replace(part, copy)
    return paths


def _prune(target: Path, kept: set[Path]) -> None:
    for path in target.rglob("*"):
        if path.is_file() and path.relative_to(target) not in kept:
            path.unlink()

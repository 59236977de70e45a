"""What a device keeps of the tasks that it has worked on, how much of it and for how long: one rule for all of it.

A task is kept with its program files, its overlay of labels and what its encoding still owes. It goes when the owner's
bounds on tasks or bytes are reached and it is the least recently used, or when it was not used for UNUSED_SECONDS. Its
files, unfinished downloads and self-tests go with it. Without a bound whoever publishes tasks would fill the disk.

    room = Room(store, blobs, most_tasks=8, most_bytes=4_000_000_000, now=steady_clock())
    room.use(Kept(...), working_bytes=40_000_000)       # before its programs are downloaded
    room.let_go()                                       # now and then while there is nothing to do
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from fedrela.core import strict
from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidBundle, InvalidInput
from fedrela.core.protocol.limits import Natural, Sha256
from fedrela.core.protocol.programs import CARRIED
from fedrela.core.wire import Assignment
from fedrela.edge.storage import state
from fedrela.edge.storage.state import task_key
from fedrela.edge.storage.store import Store

INDEX = "kept.json"
DAY_SECONDS = 86_400.0
UNUSED_SECONDS = 30 * DAY_SECONDS


@dataclass(frozen=True)
class Kept:
    """A task that was worked on: its blobs by SHA-256, and how large they are together."""

    task: str  # `task_key` of its id
    task_sha256: Sha256
    manifest_sha256: Sha256
    files: tuple[Sha256, ...]  # of its programs and golden steps
    size_bytes: Natural
    used_at: float = 0.0  # to the day, by the device's clock; 0: not known


@dataclass(frozen=True)
class _Index:
    """The least recently used first; and when it was last asked what may go."""

    tasks: tuple[Kept, ...] = ()
    looked_at: float = 0.0


@dataclass
class Room:
    """The owner's bounds. `blobs` may be shared with other devices; what belongs to this one is in `store`.

    `close`: called with the hashes of the manifests that are kept no more, so that their engines are let go.
    """

    store: Store
    blobs: Store
    most_tasks: int
    most_bytes: int  # of everything that is kept, the work on the present assignment included
    now: Callable[[], float] = lambda: 0.0
    close: Callable[[set[str]], None] = lambda manifests: None
    _look_at: float = -math.inf  # before then the index needn't be read again

    def use(self, kept: Kept, working_bytes: int) -> None:
        """Count a task as the most recently used, and make room for it and for `working_bytes` of work on it.

        Raises InvalidBundle where it alone takes more than its owner allows; then nothing has changed.
        """
        if kept.size_bytes + working_bytes > self.most_bytes:
            raise InvalidBundle(
                f"the task takes {kept.size_bytes + working_bytes} bytes, this device keeps {self.most_bytes} at most",
                remedy="raise max_state_bytes in the device's settings if it has the room",
            )
        known = self._index()
        tasks = [other for other in known.tasks if other.task != kept.task] + [replace(kept, used_at=self.now())]
        while len(tasks) > self.most_tasks or sum(one.size_bytes for one in tasks) + working_bytes > self.most_bytes:
            tasks.pop(0)
        self._keep(known, replace(known, tasks=tuple(tasks)))

    def let_go(self) -> None:
        """Once a day, with nothing under way: what was not used for long goes, and what no kept task needs."""
        now = self.now()
        if self._look_at - DAY_SECONDS <= now < self._look_at:
            return
        known = self._index()
        looked_today = 0 <= now - known.looked_at < DAY_SECONDS
        self._look_at = (known.looked_at if looked_today else now) + DAY_SECONDS
        if looked_today:
            return
        # A clock that was wrong for a while, as a Raspberry Pi's after a start, makes nothing old or everlasting.
        dated = (one if 0 < one.used_at <= now else replace(one, used_at=now) for one in known.tasks)
        tasks = tuple(one for one in dated if now - one.used_at < UNUSED_SECONDS)
        self._keep(known, _Index(tasks, looked_at=now))

    def tidy(self) -> None:
        """Once an assignment was given up: what no kept task needs goes, as do the blobs of one that didn't fit."""
        known = self._index()
        self._forget_others(known.tasks, set())

    def newest_manifest(self) -> bytes | None:
        """The manifest of the task that was used last, if it is still there."""
        for kept in self._index().tasks[-1:]:
            return state.cached(self.blobs, f"blobs/{kept.manifest_sha256}", kept.manifest_sha256)
        return None

    def is_newest(self, assignment: Assignment) -> bool:
        """Whether this very task was the last to be used, and today."""
        newest = [one for one in self._index().tasks[-1:] if self.now() - one.used_at < DAY_SECONDS]
        hashes = [(one.task, one.task_sha256, one.manifest_sha256) for one in newest]
        return hashes == [(task_key(assignment.task_id), assignment.task_sha256, assignment.manifest_sha256)]

    def _index(self) -> _Index:
        return _read(self.blobs)

    def _keep(self, known: _Index, index: _Index) -> None:
        """Delete what no kept task needs, and write the index: in this order a full disk has room for it."""
        self._forget_others(index.tasks, {one.task for one in known.tasks} - {one.task for one in index.tasks})
        self.blobs.put(INDEX, strict.to_json(index))
        self.close({one.manifest_sha256 for one in known.tasks} - {one.manifest_sha256 for one in index.tasks})

    def _forget_others(self, tasks: tuple[Kept, ...], gone: set[str]) -> None:
        """Delete what no kept task needs, also blobs that a crash or version 0.1 left: it had no index."""
        hashes = {sha256 for kept in tasks for sha256 in (kept.task_sha256, kept.manifest_sha256, *kept.files)}
        for key in (*self.blobs.keys("blobs/"), *self.blobs.keys("partial/")):
            if key.rsplit("/", 1)[1] not in hashes:
                self.blobs.delete(key)
        for task in gone:
            self.store.delete(f"overlays/{task}")
            self.store.delete(f"residuals/{task}")
        manifests = {kept.manifest_sha256 for kept in tasks}
        for key in self.store.keys("self-tests/"):
            if key.rsplit("/", 1)[1][:64] not in manifests:
                self.store.delete(key)


def task_hashes(blobs: Store) -> tuple[Sha256, ...]:
    """The SHA-256 of each kept task's settings, the least recently used first."""
    return tuple(kept.task_sha256 for kept in _read(blobs).tasks)


def _read(blobs: Store) -> _Index:
    body = blobs.get(INDEX)
    try:
        return strict.from_json(_Index, body, InvalidInput) if body is not None else _Index()
    except InvalidInput:
        return _Index()


def of(assignment: Assignment, manifest: Manifest, runtime: str) -> Kept:
    """What is kept of an assignment's task, for one runtime: its programs, and what its encoding owes at most.

    Its settings, its manifest and an overlay of labels are small beside it.
    """
    programs = (manifest.train_step, manifest.predict, manifest.relabel)
    files = [file for program in programs if (file := program.file(runtime)) is not None]
    sizes = {file.sha256: file.size_bytes for file in files} | {manifest.golden.sha256: manifest.golden.size_bytes}
    hashes = (assignment.task_sha256, assignment.manifest_sha256)
    owed = sum(4 * spec.size for spec in manifest.weights)
    return Kept(task_key(assignment.task_id), *hashes, tuple(sizes), sum(sizes.values()) + owed)


def working_bytes(manifest: Manifest) -> int:
    """What the work on an assignment takes at most: checkpoint, training state, update and what it leaves out."""
    weights = sum(4 * spec.size for spec in manifest.weights)
    carried = sum(4 * item.spec.size for item in manifest.train_step.role(*CARRIED))
    return 4 * weights + carried

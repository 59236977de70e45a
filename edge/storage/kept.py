"""What a device keeps of the tasks that it has worked on, and how much of it: the least recently used goes first.

A task is kept with its program files, its overlay of labels and what its encoding still owes. Without a bound whoever
publishes tasks would fill the disk.

    room = Room(store, blobs, most_tasks=8, most_bytes=4_000_000_000)
    room.use(Kept(...), working_bytes=40_000_000)       # before its programs are downloaded
"""

from dataclasses import dataclass

from fedrela.core import strict
from fedrela.core.bundle import Manifest
from fedrela.core.errors import InvalidBundle, InvalidInput
from fedrela.core.protocol.limits import Natural, Sha256
from fedrela.core.protocol.programs import CARRIED
from fedrela.core.wire import Assignment
from fedrela.edge.storage.state import task_key
from fedrela.edge.storage.store import Store

INDEX = "kept.json"


@dataclass(frozen=True)
class Kept:
    """A task that was worked on: its blobs by SHA-256, and how large they are together."""

    task: str  # `task_key` of its id
    task_sha256: Sha256
    manifest_sha256: Sha256
    files: tuple[Sha256, ...]  # of its programs and golden steps
    size_bytes: Natural


@dataclass(frozen=True)
class _Index:
    """The least recently used first."""

    tasks: tuple[Kept, ...] = ()


@dataclass(frozen=True)
class Room:
    """The owner's bounds. `blobs` may be shared with other devices; what belongs to this one is in `store`."""

    store: Store
    blobs: Store
    most_tasks: int
    most_bytes: int  # of everything that is kept, the work on the present assignment included

    def use(self, kept: Kept, working_bytes: int) -> None:
        """Count a task as the most recently used, and make room for it and for `working_bytes` of work on it.

        Raises InvalidBundle where it alone takes more than its owner allows; then nothing has changed.
        """
        if kept.size_bytes + working_bytes > self.most_bytes:
            raise InvalidBundle(
                f"the task takes {kept.size_bytes + working_bytes} bytes, this device keeps {self.most_bytes} at most",
                remedy="raise max_state_bytes in the device's settings if it has the room",
            )
        known = self._tasks()
        tasks = [other for other in known if other.task != kept.task] + [kept]
        while len(tasks) > self.most_tasks or sum(one.size_bytes for one in tasks) + working_bytes > self.most_bytes:
            tasks.pop(0)
        self.blobs.put(INDEX, strict.to_json(_Index(tuple(tasks))))
        self._forget_others(tasks, {one.task for one in known} - {one.task for one in tasks})

    def is_newest(self, assignment: Assignment) -> bool:
        """Whether this very task was the last to be used."""
        newest = self._tasks()[-1:]
        hashes = [(one.task, one.task_sha256, one.manifest_sha256) for one in newest]
        return hashes == [(task_key(assignment.task_id), assignment.task_sha256, assignment.manifest_sha256)]

    def _tasks(self) -> tuple[Kept, ...]:
        body = self.blobs.get(INDEX)
        try:
            return strict.from_json(_Index, body, InvalidInput).tasks if body is not None else ()
        except InvalidInput:
            return ()

    def _forget_others(self, tasks: list[Kept], gone: set[str]) -> None:
        """Delete what no kept task needs, also blobs that a crash or version 0.1 left: it had no index."""
        hashes = {sha256 for kept in tasks for sha256 in (kept.task_sha256, kept.manifest_sha256, *kept.files)}
        needed = {f"blobs/{sha256}" for sha256 in hashes}
        for key in (*self.blobs.keys("blobs/"), *self.blobs.keys("partial/")):
            if key not in needed:
                self.blobs.delete(key)
        for task in gone:
            self.store.delete(f"overlays/{task}")
            self.store.delete(f"residuals/{task}")
        manifests = {kept.manifest_sha256 for kept in tasks}
        for key in self.store.keys("self-tests/"):
            if key.rsplit("/", 1)[1][:64] not in manifests:
                self.store.delete(key)


def of(assignment: Assignment, manifest: Manifest, runtime: str) -> Kept:
    """What is kept of an assignment's task, for one runtime; its own settings and its manifest are small beside it."""
    programs = (manifest.train_step, manifest.predict, manifest.relabel)
    files = [file for program in programs if (file := program.file(runtime)) is not None]
    sizes = {file.sha256: file.size_bytes for file in files} | {manifest.golden.sha256: manifest.golden.size_bytes}
    hashes = (assignment.task_sha256, assignment.manifest_sha256)
    return Kept(task_key(assignment.task_id), *hashes, tuple(sizes), sum(sizes.values()))


def working_bytes(manifest: Manifest) -> int:
    """What the work on an assignment takes at most: checkpoint, training state, update, and what its encoding owes."""
    weights = sum(4 * spec.size for spec in manifest.weights)
    carried = sum(4 * item.spec.size for item in manifest.train_step.role(*CARRIED))
    return 5 * weights + carried

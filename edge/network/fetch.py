"""From an assignment to something that can be trained: fetched, verified, opened, self-tested.

Nothing is loaded before it is verified: the programs by the key of a pinned publisher, every blob by the hash that the
assignment or the manifest gives it, the runtime by the golden steps. The assignment itself was verified when it came:
see `fedrela.edge.network.admission`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from fedrela.core import bundle
from fedrela.core.bundle import Manifest, ProgramFile
from fedrela.core.errors import IntegrityError, InvalidBundle, MissingDependency
from fedrela.core.protocol import json_text, seals, task_json
from fedrela.core.secure import clipping
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.core.wire import Assignment, unknown_features
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.pool import EnginePool, choose, self_test
from fedrela.edge.network.api import CoordinatorApi
from fedrela.edge.storage import kept, state
from fedrela.edge.storage.kept import Room
from fedrela.edge.storage.store import Store

TASK_BYTES = 1_000_000
HEADER_BYTES_PER_TENSOR = 1024  # of safetensors, generously


@dataclass(frozen=True)
class Job:
    """An assignment that was admitted: what to do, on which engine, from which global weights."""

    assignment: Assignment
    task: Task
    engine: Engine
    weights: Params


@dataclass(frozen=True)
class Fetcher:
    """Fetches for one device. `store` remembers self-tests; `blobs` may be shared with other devices."""

    api: CoordinatorApi
    store: Store
    blobs: Store
    pool: EnginePool
    publishers: tuple[str, ...] = ()  # fingerprints; none: joined when coordinators vouched for programs
    max_bytes: int = 1_000_000_000
    room: Room | None = None  # without one, nothing that is kept is ever thrown away

    def job(self, assignment: Assignment) -> Job:
        """Raises IntegrityError, InvalidInput, MissingDependency or VerificationFailed, with nothing loaded."""
        task = self.task(assignment)
        check_features("task", task.requires)
        engine = self.engine(assignment.manifest_sha256, assignment)
        self.test(assignment.manifest_sha256, engine)
        body = self.checkpoint(assignment, engine.manifest)
        weights = self.pool.weights(assignment.checkpoint_sha256, body, engine.manifest.weights)
        return Job(assignment, task, engine, weights)

    def task(self, assignment: Assignment) -> Task:
        """The settings of a task that the publishers vouch for, and that can have this assignment.

        Raises IntegrityError or InvalidTask.
        """
        if self.publishers:
            seals.check(assignment.seal, assignment.manifest_sha256, self.publishers)
        task = parse_task(self.blob(assignment.task_sha256, TASK_BYTES))
        clipping.norm(task.privacy, assignment.clip_millionths)
        return task

    def engine(self, manifest_sha256: str, assignment: Assignment | None = None) -> Engine:
        """The engine for a bundle; its programs are fetched once, and kept while there is room for an assignment's."""
        engine = self.pool.known(manifest_sha256)
        if engine is not None:
            self.make_room(assignment, engine.manifest, engine.name)
            return engine
        manifest = parse_manifest(self.blob(manifest_sha256, json_text.MOST_BYTES))
        check_features("manifest", manifest.requires)
        check_sizes(manifest, self.max_bytes)
        self.make_room(assignment, manifest, choose(manifest, self.pool.runtimes, self.pool.version))
        return self.pool.open(manifest_sha256, manifest, self.program)

    def make_room(self, assignment: Assignment | None, manifest: Manifest, runtime: str) -> None:
        """Let other tasks' programs go where there is too much; raises InvalidBundle where that is not enough."""
        if self.room is not None and assignment is not None and not self.room.is_newest(assignment):
            self.room.use(kept.of(assignment, manifest, runtime), kept.working_bytes(manifest))

    def program(self, file: ProgramFile) -> bytes:
        """A program's verified bytes."""
        return self.blob(file.sha256, file.size_bytes)

    def test(self, manifest_sha256: str, engine: Engine) -> None:
        """Run the golden steps, once per bundle and runtime version."""
        key = f"self-tests/{manifest_sha256}-{engine.name}-{engine.version}".replace(".", "-").replace("+", "-").lower()
        if key in self.pool.tested:
            return
        if self.store.get(key) is None:
            golden = engine.manifest.golden
            self_test(engine, self.blob(golden.sha256, golden.size_bytes))
            self.store.put(key, b"passed")
        self.pool.tested.add(key)

    def checkpoint(self, assignment: Assignment, manifest: Manifest) -> bytes:
        """The global weights' bytes: downloaded each round, and only those of the newest round kept."""
        most = sum(4 * spec.size + HEADER_BYTES_PER_TENSOR + len(spec.name) for spec in manifest.weights)
        if assignment.checkpoint_bytes > most + HEADER_BYTES_PER_TENSOR:
            raise IntegrityError(
                f"the checkpoint is announced with {assignment.checkpoint_bytes} bytes, the model needs {most} at most",
                remedy="nothing was loaded; tell the operator",
            )
        key = f"checkpoint/{assignment.checkpoint_sha256}"
        body = state.cached(self.blobs, key, assignment.checkpoint_sha256)
        if body is None:
            state.drop_partial(self.blobs, but=assignment.checkpoint_sha256)
            limit = assignment.checkpoint_bytes
            body = self.api.blob(assignment.checkpoint_sha256, self.blobs, limit_bytes=limit)
            state.keep_checkpoint(self.blobs, assignment.checkpoint_sha256, body)
        return body

    def blob(self, sha256: str, limit_bytes: int) -> bytes:
        """A blob from the cache or the coordinator; its bytes match its name."""
        if limit_bytes > self.max_bytes:
            raise IntegrityError(
                f"a file of {limit_bytes} bytes is announced, this device takes {self.max_bytes} at most",
                remedy="raise the limit in the device's settings if you trust this coordinator",
            )
        body = state.cached(self.blobs, f"blobs/{sha256}", sha256)
        if body is None:
            body = self.api.blob(sha256, self.blobs, limit_bytes=limit_bytes)
            self.blobs.put(f"blobs/{sha256}", body)
        return body


def check_features(what: str, requires: tuple[str, ...]) -> None:
    """Raise MissingDependency for a task or manifest that a client of this version would misunderstand."""
    unknown = unknown_features(*requires)
    if unknown:
        raise MissingDependency(f"the {what} requires {unknown[0]}", remedy="update this client")


def check_sizes(manifest: Manifest, max_bytes: int) -> None:
    """Raise InvalidBundle for a manifest whose tensors would exhaust the device before it trains."""
    total = 0
    for program in (manifest.train_step, manifest.predict, manifest.relabel):
        for item in program.inputs:
            sizes = [manifest.golden.batch if isinstance(d, str) else d for d in item.shape]
            total += 8 * math.prod(sizes)
    if total > max_bytes:
        raise InvalidBundle(
            f"the model's tensors take {total} bytes, this device allows {max_bytes}",
            remedy="raise max_download_bytes in the device's settings if it has the memory",
        )


@lru_cache(maxsize=4)
def parse_manifest(body: bytes) -> Manifest:
    """The manifest that a coordinator sent. Raises InvalidBundle."""
    return bundle.parse_manifest(body)


@lru_cache(maxsize=16)
def parse_task(body: bytes) -> Task:
    """The task that a coordinator sent. Raises InvalidTask."""
    return task_json.decode(body)

"""Where emulated devices keep things: small private facts each, and one copy of every blob per process.

shared = SharedBlobs()
blobs = DeviceBlobs(shared)      # one device's view: it "has" only what it has itself downloaded
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from fedrela.core.bundle import PROGRAMS, Manifest
from fedrela.core.tensors import Params, TensorSpec
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.pool import EnginePool, Read, choose
from fedrela.edge.secure import vector
from fedrela.edge.storage.store import MemoryStore

_PARSED_CHECKPOINTS = 2  # kept as arrays; devices of one round have the same


@dataclass
class SharedBlobs:
    """Immutable blobs by SHA-256, bounded; the least recently used goes first."""

    limit_bytes: int = 512_000_000
    _bodies: dict[str, bytes] = field(default_factory=dict)
    _size: int = 0

    def get(self, sha256: str) -> bytes | None:
        """The body, if it is kept; it then counts as used most recently."""
        body = self._bodies.pop(sha256, None)
        if body is not None:
            self._bodies[sha256] = body
        return body

    def put(self, sha256: str, body: bytes) -> None:
        """Keep a body."""
        if sha256 in self._bodies or len(body) > self.limit_bytes:
            return
        self._bodies[sha256] = body
        self._size += len(body)
        while self._size > self.limit_bytes:
            oldest = next(iter(self._bodies))
            self._size -= len(self._bodies.pop(oldest))


class DeviceBlobs(MemoryStore):
    """One device's blobs and checkpoints: `fedrela.edge.storage.store.Store` over the shared bytes; only partial ones
    are its own.
    """

    def __init__(self, shared: SharedBlobs) -> None:
        super().__init__()
        self._shared = shared
        self._has: set[str] = set()

    def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        if key in self._has:
            return self._shared.get(key.rsplit("/", 1)[1])
        return super().get(key)

    def put(self, key: str, body: bytes | bytearray) -> None:
        """See `Store.put`."""
        if key.startswith(("blobs/", "checkpoint/")):
            self._has.add(key)
            self._shared.put(key.rsplit("/", 1)[1], bytes(body))
        else:
            super().put(key, body)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._has.discard(key)
        super().delete(key)

    def keys(self, prefix: str = "") -> list[str]:
        """See `Store.keys`."""
        return sorted([*(key for key in self._has if key.startswith(prefix)), *super().keys(prefix)])


class AttackersStore(MemoryStore):
    """A malicious device's: the vector that a group is to hide is another one before anything of it is masked."""

    def __init__(self, tamper: Callable[[bytes], bytes]) -> None:
        super().__init__()
        self._tamper = tamper

    def put(self, key: str, body: bytes | bytearray) -> None:
        """See `Store.put`."""
        is_vector = key == "assignment/update" and vector.is_vector(bytes(body))
        super().put(key, self._tamper(bytes(body)) if is_vector else body)


class SharedEngines(EnginePool):
    """One device's view of the process's engines: it opens a bundle only when it has itself downloaded the programs.

    The engine that it then gets is the one that every device of the process shares; so are a checkpoint's weights,
    which nobody writes to, so that an engine sees that they are the same.
    """

    def __init__(
        self,
        shared: EnginePool,
        opened: Callable[[str], bool],
        downloaded: Callable[[str], None],
        parsed: dict[str, Params],
    ) -> None:
        super().__init__(shared.runtimes, shared.threads, shared.tested)
        self._shared_pool = shared
        self._opened = opened
        self._downloaded = downloaded
        self._parsed = parsed

    def offered(self) -> tuple[str, ...]:
        """See `EnginePool.offered`."""
        return self._shared_pool.offered()

    def known(self, manifest_sha256: str) -> Engine | None:
        """See `EnginePool.known`; None on a device that has not downloaded the programs."""
        return self._shared_pool.known(manifest_sha256) if self._opened(manifest_sha256) else None

    def open(self, manifest_sha256: str, manifest: Manifest, read: Read) -> Engine:
        """See `EnginePool.open`; every program file of the runtime is read, as a real device would.

        It is read before the shared pool is asked: while a download is under way other devices go on, and one of
        them would wait for the pool for ever.
        """
        runtime = choose(manifest, self._shared_pool.runtimes)
        files = [getattr(manifest, program).file(runtime) for program in PROGRAMS]
        bodies = {file.sha256: read(file) for file in files}
        engine = self._shared_pool.open(manifest_sha256, manifest, lambda file: bodies[file.sha256])
        self._downloaded(manifest_sha256)
        return engine

    def weights(self, sha256: str, body: bytes, specs: tuple[TensorSpec, ...]) -> Params:
        """See `EnginePool.weights`; the same bytes are parsed once for all devices."""
        if sha256 not in self._parsed:
            self._parsed[sha256] = super().weights(sha256, body, specs)
            for older in list(self._parsed)[:-_PARSED_CHECKPOINTS]:
                del self._parsed[older]
        return self._parsed[sha256]

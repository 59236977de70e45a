"""Store: where a device keeps bytes. Two implementations: a private folder, and memory for emulated devices.

Keys are relative paths made by this package ("blobs/<sha256>", "assignment/update"); a key from elsewhere can't
leave the folder. A `put` is all or nothing, whatever happens to the process or the power.

    >>> store = MemoryStore()
    >>> store.put("assignment/update", b"bytes")
    >>> store.get("assignment/update"), store.get("assignment/snapshot")
    (b'bytes', None)
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from fedrela.core.errors import InvalidInput
from fedrela.core.files import flush_folder
from fedrela.edge.storage import disk, state_folder
from fedrela.edge.storage.state_folder import Cleared

_KEY = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)?(/[a-z0-9_-]+(\.[a-z0-9_-]+)?)*")


class Store(Protocol):
    """Bytes by key. `get` of an unknown key is None, `delete` of one is no error.

    Where the bytes can't be read or written now, as on a full disk, every call raises Unavailable and changes nothing.
    """

    def get(self, key: str) -> bytes | None:
        """The bytes of `key`."""
        ...

    def put(self, key: str, body: bytes | bytearray) -> None:
        """Keep `body` durably, all or nothing."""
        ...

    def append(self, key: str, body: bytes) -> None:
        """Add to the end of `key`; a power cut may tear it, so a reader must expect a torn end."""
        ...

    def delete(self, key: str) -> None:
        """Forget `key`."""
        ...

    def keys(self, prefix: str = "") -> list[str]:
        """All keys that start with `prefix`, sorted."""
        ...

    def clear(self) -> Cleared:
        """Forget everything."""
        ...


class MemoryStore:
    """A store that lives as long as the process; an emulated device's."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes | bytearray] = {}

    def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        body = self._bodies.get(key)
        return bytes(body) if body is not None else None

    def put(self, key: str, body: bytes | bytearray) -> None:
        """See `Store.put`."""
        self._bodies[key] = body

    def append(self, key: str, body: bytes) -> None:
        """See `Store.append`."""
        log = self._bodies.get(key, b"")
        if not isinstance(log, bytearray):
            log = self._bodies[key] = bytearray(log)
        log += body

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._bodies.pop(key, None)

    def keys(self, prefix: str = "") -> list[str]:
        """See `Store.keys`."""
        return sorted(key for key in self._bodies if key.startswith(prefix))

    def clear(self) -> Cleared:
        """See `Store.clear`."""
        count = len(self._bodies)
        self._bodies.clear()
        return Cleared(count)


class FolderStore:
    """A folder that only its owner can read (0700), with files of mode 0600. It is made by the first write.

    Raises InvalidInput for a folder that holds something else: see `fedrela.edge.storage.state_folder`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._claimed = False
        state_folder.check_place(folder)
        state_folder.tighten(folder)

    def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        path = self._path(key)
        with disk.translated(path, "read"):
            try:
                return path.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def put(self, key: str, body: bytes | bytearray) -> None:
        """See `Store.put`: a temporary file beside it, flushed to the disk, then renamed over it."""
        path = self._path(key)
        temporary = path.with_name(path.name + "~")
        with self._writing(path):
            try:
                descriptor = self._open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
                flush_folder(path.parent)
            except OSError:
                with suppress(OSError):
                    temporary.unlink()
                raise

    def append(self, key: str, body: bytes) -> None:
        """See `Store.append`."""
        path = self._path(key)
        with self._writing(path):
            descriptor = self._open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            try:
                disk.append_whole(descriptor, body)
            finally:
                os.close(descriptor)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        path = self._path(key)
        with disk.translated(path, "deleted"), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def keys(self, prefix: str = "") -> list[str]:
        """See `Store.keys`; temporary files that a crash left are not keys."""
        with disk.translated(self.folder, "read"):
            paths = [path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()]
        return sorted(key for key in paths if key.startswith(prefix) and _KEY.fullmatch(key))

    def clear(self) -> Cleared:
        """See `Store.clear`; the folder goes too, if nothing else is in it."""
        self._claimed = False
        return state_folder.delete(self.folder)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: two processes would take each other's assignments. Raises InvalidInput if it is held."""
        with self._writing(self.folder / state_folder.LOCK):
            descriptor = os.open(self.folder / state_folder.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with disk.translated(self.folder, "locked"):
                self._hold(descriptor)
                state_folder.delete_torn(self.folder)
            yield
        finally:
            os.close(descriptor)

    def _hold(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InvalidInput(
                f"another device is running on {self.folder}", remedy="stop it, or choose another folder with --state"
            ) from error

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """A write to `path`, into a folder that is ours by then."""
        if not self._claimed:
            state_folder.claim(self.folder)
            self._claimed = True
        with disk.translated(path, "written"):
            yield

    def _open(self, path: Path, flags: int) -> int:
        """A file of mode 0600, its folder made where there is none yet."""
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, flags, 0o600)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise InvalidInput(f"{key!r} is not a key of the state folder", remedy="use lower-case words and digits")
        return self.folder / key

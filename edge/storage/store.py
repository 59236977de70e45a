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
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from fedrela.core.errors import InvalidInput, Unavailable
from fedrela.core.files import flush_folder

_KEY = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)?(/[a-z0-9_-]+(\.[a-z0-9_-]+)?)*")


class Store(Protocol):
    """Bytes by key. `get` of an unknown key is None, `delete` of one is no error."""

    def get(self, key: str) -> bytes | None:
        """The bytes of `key`."""
        ...

    def put(self, key: str, body: bytes) -> None:
        """Keep `body` durably, all or nothing."""
        ...

    def append(self, key: str, body: bytes) -> None:
        """Add to the end of `key`; not atomic, so a reader must expect a torn end."""
        ...

    def delete(self, key: str) -> None:
        """Forget `key`."""
        ...

    def keys(self, prefix: str = "") -> list[str]:
        """All keys that start with `prefix`, sorted."""
        ...

    def clear(self) -> None:
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

    def put(self, key: str, body: bytes) -> None:
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

    def clear(self) -> None:
        """See `Store.clear`."""
        self._bodies.clear()


class FolderStore:
    """A folder that only its owner can read (0700), with files of mode 0600."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
        except OSError as error:
            raise InvalidInput(
                f"the state folder {folder} can't be made ({error.strerror})",
                remedy="choose a folder that you may write to, with --state",
            ) from error

    def get(self, key: str) -> bytes | None:
        """See `Store.get`."""
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put(self, key: str, body: bytes) -> None:
        """See `Store.put`: a temporary file beside it, flushed to the disk, then renamed over it."""
        path = self._path(key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_name(path.name + "~")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            flush_folder(path.parent)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink()
            raise Unavailable(
                f"{path} can't be written ({error.strerror})", remedy="free some disk space and try again"
            ) from error

    def append(self, key: str, body: bytes) -> None:
        """See `Store.append`."""
        path = self._path(key)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(body)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with suppress(FileNotFoundError, NotADirectoryError):
            self._path(key).unlink()

    def keys(self, prefix: str = "") -> list[str]:
        """See `Store.keys`; temporary files that a crash left are not keys."""
        paths = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return sorted(key for key in paths if key.startswith(prefix) and _KEY.fullmatch(key))

    def clear(self) -> None:
        """See `Store.clear`; the folder goes too."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: two processes would take each other's assignments. Raises InvalidInput if it is held."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise InvalidInput(
                f"another device is running on {self.folder}", remedy="stop it, or choose another folder with --state"
            ) from error
        try:
            yield
        finally:
            os.close(descriptor)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise InvalidInput(f"{key!r} is not a key of the state folder", remedy="use lower-case words and digits")
        return self.folder / key

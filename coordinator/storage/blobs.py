"""Files by name, and the folder that holds them by default (`storage/blob_urls.py` opens another store by URL).

    public/<sha256>                      what devices may fetch: manifests, programs, tasks, checkpoints
    private/<assignment id>.<sha256>     updates, deleted once their round is committed
    private/<task id>.state.<sha256>     a server optimizer's state

A name holds the hash of its content; `get` checks it.

    >>> import tempfile
    >>> blobs = FolderBlobs(Path(tempfile.mkdtemp()))
    >>> blobs.put("public/" + signing.sha256(b"x"), b"x"); blobs.size("public/" + signing.sha256(b"x"))
    1
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedrela.coordinator.storage import private as private_files
from fedrela.core import signing
from fedrela.core.errors import IntegrityError, Unavailable
from fedrela.core.files import flush_folder

DIGEST_PIECE = 64 * 1024
_RESTORE = "restore it from a backup; the round goes on by itself then"
NAME = re.compile(r"(public|private)/[a-z0-9.-]{1,150}")


@dataclass(frozen=True)
class Stored:
    """One blob of a listing. `stored_at` is in Unix seconds."""

    name: str
    size: int
    stored_at: float


class Blobs(Protocol):
    """Where blobs are. `put` has made the bytes durable when it returns; putting the same bytes twice is no fault.

    A missing blob raises KeyError (the caller knows whether that is a 404 or a loss); a store that can't be reached,
    is full or read-only raises Unavailable and leaves no part of a blob under its name.
    """

    tile_bytes: int  # how much to read at a time where a blob is read in parts

    def put(self, name: str, body: bytes) -> None: ...

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes: ...

    def size(self, name: str) -> int: ...

    def delete(self, name: str) -> None: ...

    def listing(self) -> Iterator[Stored]: ...


def public(sha256: str) -> str:
    """The name of a blob that devices may fetch."""
    return f"public/{sha256}"


def update(assignment_id: str, sha256: str) -> str:
    """The name of a stored update. Bodies of two devices never share a name, so deleting one harms no other."""
    return f"private/{assignment_id}.{sha256}"


def get(blobs: Blobs, name: str) -> bytes:
    """A whole blob, checked against the hash that ends its name.

    Raises KeyError (missing), IntegrityError (damaged) or Unavailable.
    """
    body = blobs.read(name)
    signing.check_sha256(body, name[-64:], f"blob {name[:24]}")
    return body


def needed(blobs: Blobs, name: str) -> bytes:
    """A blob that must be there. Raises IntegrityError where it is missing or damaged."""
    try:
        return get(blobs, name)
    except KeyError as error:
        raise IntegrityError(
            f"blob {name[:40]} is missing", remedy="restore it from a backup; work goes on by itself once it is there"
        ) from error


def quick_digest(body: bytes) -> str:
    """A digest that finds damage at memory speed, where SHA-256 would cost several times the sum it protects.

    SHA-256 over the length, the sums of the body's 64-KiB pieces as little-endian 64-bit words, and what is left over.
    It sees any single changed word and any exchanged piece. It is no defence against somebody who may write to the
    disk, and none is possible there: whoever may, can write to the database too.
    """
    whole = len(body) - len(body) % DIGEST_PIECE
    sums = np.frombuffer(body, "<u8", whole // 8).reshape(-1, DIGEST_PIECE // 8).sum(axis=1, dtype=np.uint64)
    return digest_of(len(body), sums, body[whole:])


def digest_of(length: int, sums: NDArray[np.uint64], rest: bytes) -> str:
    """The digest, from what it is made of."""
    return hashlib.sha256(length.to_bytes(8, "little") + sums.astype("<u8").tobytes() + rest).hexdigest()


def missing(name: str) -> IntegrityError:
    """The error of a stored update that is not there."""
    return IntegrityError(f"update {name[8:32]} is missing", remedy=_RESTORE)


def damaged(name: str) -> IntegrityError:
    """The error of a stored update that is not what was accepted."""
    return IntegrityError(f"update {name[8:32]} is damaged: it does not match its hash", remedy=_RESTORE)


class FolderBlobs:
    """Blobs as files. A file appears under its name whole and synced, or not at all."""

    tile_bytes = 512 * 1024  # stays in a processor's cache

    def __init__(self, root: Path) -> None:
        self.root = root
        areas = [root / area for area in ("public", "private")]
        for folder in (root, *areas):
            private_files.make_folder(folder)
        private_files.tighten(root, *areas)  # what is in them can't be reached then

    def put(self, name: str, body: bytes) -> None:
        """Temporary file in the same folder, sync, rename, sync of the folder."""
        path = self._path(name)
        temporary = path.parent / f".{secrets.token_hex(8)}.part"
        try:
            try:
                with temporary.open("xb") as file:
                    file.write(body)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            flush_folder(path.parent)
        except OSError as error:
            raise _unavailable(error) from error

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `start`, or up to the end."""
        try:
            with self._path(name).open("rb", buffering=0) as file:
                file.seek(start)
                return file.read() if length is None else file.read(length)
        except FileNotFoundError as error:
            raise KeyError(name) from error
        except OSError as error:
            raise _unavailable(error) from error

    def size(self, name: str) -> int:
        """Bytes."""
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError as error:
            raise KeyError(name) from error

    def delete(self, name: str) -> None:
        """Remove a blob; a missing one is no fault."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise _unavailable(error) from error

    def listing(self) -> Iterator[Stored]:
        """Every file, unfinished temporary files of a crash included."""
        for area in ("public", "private"):
            for entry in os.scandir(self.root / area):
                try:
                    status = entry.stat()
                except FileNotFoundError:
                    continue
                yield Stored(f"{area}/{entry.name}", status.st_size, status.st_mtime)

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name) or ".." in name:
            raise KeyError(name)
        return self.root / name


def _unavailable(error: OSError) -> Unavailable:
    return Unavailable(
        f"the blob store can't do this now ({error.strerror})",
        remedy="free disk space and check the folder's permissions, then try again",
    )

"""The file system as a device meets it: full, read-only, gone, or another user's. All of it is one kind of error here.

with translated(path, "written"):
    path.write_bytes(body)          # any OSError becomes Unavailable, with what its owner can do about it
"""

import errno
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fedrela.core.errors import Unavailable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM)


@contextmanager
def translated(path: Path, done: str) -> Iterator[None]:
    """Every fault of the file system becomes Unavailable: nothing is half done, and it may go on once it is mended.

    `done`: what should have been done to `path`, such as "written".
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Unavailable(f"{path} can't be {done} ({reason})", remedy=_remedy(error, path)) from error


def write_all(descriptor: int, body: bytes) -> None:
    """Write the whole of `body`, which the system may take in parts. Raises OSError."""
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def append_whole(descriptor: int, body: bytes) -> None:
    """Write `body` at the end, or nothing of it. Raises OSError."""
    before = os.fstat(descriptor).st_size
    try:
        write_all(descriptor, body)
    except OSError:
        with suppress(OSError):
            os.ftruncate(descriptor, before)
        raise


def _remedy(error: OSError, path: Path) -> str:
    if error.errno in FULL:
        return "free some disk space and try again"
    if error.errno in _DENIED:
        return f"give it back to its user: sudo chown -R {_user()} {path.parent}"
    if error.errno == errno.EROFS:
        return "the file system is read-only: mount it so that it can be written"
    return "see that the disk is there and sound"


def _user() -> str:
    """Who runs this process, by name where the system knows one."""
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return str(os.getuid())

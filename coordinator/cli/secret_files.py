"""Secrets in files that their owner alone can read: private keys, which are never replaced, and pictures of links."""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedrela.coordinator.storage import private
from fedrela.core.errors import InvalidInput

_KEY = re.compile(r"[0-9a-f]{64}")


def check_new(path: Path, another: str) -> None:
    """Raise InvalidInput where something is at `path`; `another`: how the one who asked names another file."""
    if os.path.lexists(path):
        raise InvalidInput(f"{path} is there already", remedy=f"a key that is lost is lost: {another}")


def write_new(path: Path, private_key: str, another: str) -> None:
    """A private key in a new file of mode 0600, on disk before this returns.

    Raises InvalidInput where the file can't be made or is there already, whose mode and readers nobody knows;
    `another` as in `check_new`.
    """
    check_new(path, another)
    with _told(path):
        try:
            _write(path, private_key)
        except FileExistsError:  # somebody was quicker
            check_new(path, another)
            raise


def replace(path: Path, secret: str) -> None:
    """A secret in a file of mode 0600, whatever mode a file of that name had. Raises InvalidInput where it can't be."""
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{path} is no file", remedy="name a file in a folder of yours")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with _told(path):
        try:
            _write(beside, secret)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def _write(path: Path, secret: str) -> None:
    with private.create(path) as file:
        file.write(f"{secret}\n".encode())
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidInput(
            f"{path} can't be written ({error.strerror})", remedy="name a file in a folder of yours"
        ) from error


def read(path: Path) -> str:
    """The private key in a file. Raises InvalidInput."""
    try:
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} can't be read", remedy="name the file that `fedrela fleet key` wrote") from error
    if not _KEY.fullmatch(key):
        raise InvalidInput(f"{path} holds no private key", remedy="name the file that `fedrela fleet key` wrote")
    return key

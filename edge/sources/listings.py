"""The files in a folder and in a zip, as `fedrela.core.data.class_folders` takes them. Nothing is ever written.

A boundary: whatever the file system or zipfile raises becomes InvalidData that names the file or folder.
"""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fedrela.core.data.class_folders import is_left_out, shown
from fedrela.core.errors import InvalidData

MAX_FILE_BYTES = 64_000_000  # of one image in a zip, unpacked
_NAMED_IN_UTF_8 = 0x800  # a flag of a zip's member


@dataclass(frozen=True)
class File:
    """A file: its path with "/" between folders, a stamp that changes with its content, and its bytes.

    The stamp is None for what is no regular file. Both functions raise InvalidData, which names the file.
    """

    path: str
    stamp: Callable[[], tuple[int, ...] | None]
    read: Callable[[], bytes]


def in_folder(root: Path) -> list[File]:
    """Every file below `root`, through links too. Hidden and system folders are listed and not entered.

    Raises InvalidData for a folder that can't be read, and for one that leads back to a folder above it.
    """
    files: list[File] = []
    pending: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while pending:
        folder, above = pending.pop()
        try:
            status = os.stat(root / folder)
            if (status.st_dev, status.st_ino) in above:
                raise OSError("it leads back to a folder above it")
            for path, is_folder in _entries(root, folder):
                if is_folder:
                    pending.append((path, above | {(status.st_dev, status.st_ino)}))
                else:
                    files.append(_file(root, path))
        except OSError as error:
            name = shown(folder or str(root))
            raise InvalidData(
                f"the folder {name} can't be read ({_reason(error)})", remedy="let this user read it, or remove it"
            ) from error
    return files


def _entries(root: Path, folder: str) -> Iterator[tuple[str, bool]]:
    """The path of each entry, and whether it is a folder to enter."""
    with os.scandir(root / folder) as entries:
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            yield path, not is_left_out(entry.name) and entry.is_dir()


def _file(root: Path, path: str) -> File:
    def stamp() -> tuple[int, ...] | None:
        with readable(path):
            status = os.stat(root / path)
        return (status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def read() -> bytes:
        with readable(path):
            return (root / path).read_bytes()

    return File(path, stamp, read)


def in_zip(archive: Path) -> list[File]:
    """Every file in a zip. Raises InvalidData for one that can't be read."""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except Exception as error:  # a damaged one raises nearly anything
        raise InvalidData(
            f"{shown(str(archive))} can't be read ({_reason(error)})", remedy="copy the zip file again"
        ) from error
    files = [_member(archive, member) for member in members]
    return [file for file in files if not file.path.endswith("/")]


def _member(archive: Path, member: zipfile.ZipInfo) -> File:
    path = _path_in_zip(member)

    def read() -> bytes:
        if member.file_size > MAX_FILE_BYTES:
            raise InvalidData(
                f"{shown(path)} in {shown(str(archive))} is larger than {MAX_FILE_BYTES} bytes", remedy="take it away"
            )
        with readable(path), zipfile.ZipFile(archive) as opened:
            return opened.read(member)

    return File(path, lambda: (member.CRC, member.file_size), read)


def _path_in_zip(member: zipfile.ZipInfo) -> str:
    """Its path; Windows has written backslashes, and names in UTF-8 often come without the flag that says so."""
    name = member.filename
    if not member.flag_bits & _NAMED_IN_UTF_8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()  # zipfile took it for cp437, as old PCs wrote it
    return name.replace("\\", "/")


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Whatever is raised within becomes InvalidData that names the image."""
    try:
        yield
    except Exception as error:  # zipfile alone raises a dozen kinds for what is damaged, encrypted or packed oddly
        raise InvalidData(
            f"the image {shown(path)} can't be read ({_reason(error)})", remedy="copy it again, or remove it"
        ) from error


def _reason(error: Exception) -> str:
    """Without the path, which may be anything and of any length."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

"""Whose folder this is: a device writes into, tightens and deletes only what it made itself.

A file named FEDRELA-DEVICE marks a state folder. Version 0.1 made none; its folders are known by the identity in them.

    claim(folder)                   # before the first write; raises InvalidInput for somebody's folder
    cleared = delete(folder)
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fedrela.core.errors import InvalidInput
from fedrela.edge.storage import disk

MARK, LOCK = "FEDRELA-DEVICE", "lock"
_TEXT = b"The state of a FedReLa device, private keys among it. `fedrela device forget` deletes it.\n"
_SECRETS = ("identity.json",)  # they go first
_FILES = ("kept.json", "trust.json", "masked-rounds.json", "status.json", LOCK)
_FOLDERS = (
    "assignment", "blobs", "checkpoint", "last", "log", "overlays", "partial", "residuals", "self-tests", "turn",
)  # fmt: skip
_IDENTITY_KEYS = {"url", "device_token", "private_key", "secret"}


@dataclass(frozen=True)
class Cleared:
    """How many files were deleted, and what is left: names in the folder that no device made, or links out of it."""

    files: int = 0
    left: tuple[str, ...] = ()


def is_state_folder(folder: Path) -> bool:
    """Whether a device made what is in this folder. Raises Unavailable where that can't be read."""
    with disk.translated(folder, "read"):
        if not folder.is_dir():
            return False
        return (folder / MARK).is_file() or _is_of_version_0_1(folder)


def _is_of_version_0_1(folder: Path) -> bool:
    try:
        identity = json.loads((folder / "identity.json").read_bytes())
    except (FileNotFoundError, IsADirectoryError, ValueError, RecursionError):
        return False
    return isinstance(identity, dict) and set(identity) >= _IDENTITY_KEYS


def check_place(folder: Path) -> None:
    """Raise InvalidInput for a folder of somebody's, or for a place where there can be no folder. Nothing is made."""
    with disk.translated(folder, "read"):
        nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        others = _content(folder) if nearest is folder and folder.is_dir() and not is_state_folder(folder) else ()
    if not nearest.is_dir():
        raise InvalidInput(
            f"the state folder {folder} can't be made ({nearest} is a file)",
            remedy="choose a folder that you may write to, with --state",
        )
    if others:
        raise InvalidInput(
            f"{folder} is no device's state folder: it holds {', '.join(others[:3])}",
            remedy="choose a new or an empty folder with --state",
        )


def claim(folder: Path) -> None:
    """Make a state folder here, or go on with the one that there is; nobody but its owner may read it.

    Raises InvalidInput where it can't be made or is somebody's, and Unavailable where the disk is full.
    """
    check_place(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise InvalidInput(
            f"the state folder {folder} can't be made ({error.strerror})",
            remedy="choose a folder that you may write to, with --state",
        ) from error
    if not (folder / MARK).exists():
        with disk.translated(folder / MARK, "written"):
            descriptor = os.open(folder / MARK, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(_TEXT)


def tighten(folder: Path) -> None:
    """Close a state folder of ours to other users; a folder of somebody's stays as it is."""
    if is_state_folder(folder) and folder.stat().st_mode & 0o077:
        with suppress(OSError):
            folder.chmod(0o700)


def delete_torn(folder: Path) -> None:
    """Delete the drafts that a crash left. To be called by whoever holds the folder alone."""
    for name in _FOLDERS:
        for draft in (folder / name).glob("*~"):
            draft.unlink(missing_ok=True)


def delete(folder: Path) -> Cleared:
    """Delete what a device made in its state folder: its secrets first, the mark last, the folder if it is empty then.

    Links are cut and not followed, but for one that leads to the folder itself. Raises Unavailable.
    """
    root = folder.resolve()
    deleted, elsewhere = 0, []
    with disk.translated(root, "deleted"):
        for name in (*_SECRETS, *_FOLDERS, *_FILES, MARK):
            for path in (root / name, root / f"{name}~"):
                if path.is_symlink():
                    elsewhere.append(f"{name} (a link: {os.readlink(path)} is untouched)")
                deleted += _delete(path)
        left = _content(root)
        if not left and not folder.is_symlink():
            with suppress(OSError):  # a mount point stays
                root.rmdir()
    return Cleared(deleted, (*left, *elsewhere))


def _delete(path: Path) -> int:
    """Delete a file, a link or a whole folder; how many files that were."""
    if path.is_dir() and not path.is_symlink():
        deleted = sum(_delete(inner) for inner in path.iterdir())
        path.rmdir()
        return deleted
    try:
        path.unlink()
    except FileNotFoundError:
        return 0
    return 1


def _content(folder: Path) -> tuple[str, ...]:
    """What is in a folder, but for the empty lock that version 0.1 left even where nothing was enrolled."""
    return tuple(sorted(path.name for path in folder.iterdir() if path.name != LOCK or path.stat().st_size))

"""Files and folders that no other account of the machine may read: the database, the blobs, the secrets.

Older versions made them with the modes of the process's umask; whoever opens them tightens them.
"""

import logging
import os
from pathlib import Path
from typing import BinaryIO

from fedrela.core.errors import InvalidInput

_GROUP_AND_OTHERS = 0o077
log = logging.getLogger("fedrela.coordinator")


def create(path: Path) -> BinaryIO:
    """A new file that only its owner reads. Raises FileExistsError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def make_folder(path: Path) -> None:
    """The folder, and those above it that aren't there, closed to other accounts. One that is there may be anybody's:
    it stays.

    Raises InvalidInput where none can be.
    """
    try:
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as fault:
        raise InvalidInput(
            f"the folder {path} can't be made ({fault.strerror})", remedy="name one of yours: FEDRELA_DATA, or --data"
        ) from fault


def tighten(*paths: Path) -> None:
    """Close files and folders of our own to other accounts; says which ones it can't."""
    for path in paths:
        try:
            mode = path.stat().st_mode
            if mode & _GROUP_AND_OTHERS:
                path.chmod(mode & ~_GROUP_AND_OTHERS)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("other accounts can read this, and it can't be closed", extra={"path": path, "problem": error})

"""Private keys in files that their owner alone can read."""

import os
import re
from pathlib import Path

from fedrela.core.errors import InvalidInput

_KEY = re.compile(r"[0-9a-f]{64}")


def write(path: Path, secret: str, *, replace: bool = True) -> None:
    """A file of mode 0600, on disk before this returns. Raises InvalidInput where it can't be made, or is there
    already and `replace` is false.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise InvalidInput(
            f"{path} is there already", remedy="a key that is lost is lost: name another file"
        ) from error
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

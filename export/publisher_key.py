"""The publisher's key: it signs every bundle that is exported here, and devices take programs of no other publisher.

It is made on first use, in the user's own configuration folder, and belongs to whoever exports: a coordinator never
needs it.

    private_key = load(None, report=print)
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from fedrela.core import signing
from fedrela.core.environment import user_folders
from fedrela.core.errors import InvalidInput
from fedrela.core.files import flush_folder


def default_path() -> Path:
    """fedrela/publisher.key below $XDG_CONFIG_HOME, else below ~/.config."""
    return user_folders.configuration() / "fedrela" / "publisher.key"


def load(path: Path | None, report: Callable[[str], None]) -> str:
    """The private key in a file; without one named, the user's own, which is made where there is none.

    Raises InvalidInput for a file that holds no key, or that can't be read or made.
    """
    file = path or default_path()
    if path is None and not file.exists():
        return _make(file, report)
    try:
        text = file.read_text().strip()
        signing.public_key(text)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{file} holds no publisher's key ({error})", remedy="name a file with 64 hexadecimal digits"
        ) from error
    return text


def _make(file: Path, report: Callable[[str], None]) -> str:
    """A new key in a file that only its owner can read; where somebody else was quicker, that one's."""
    key = signing.generate_key()
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
            opened.write(key + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        try:
            os.link(draft, file)
        except FileExistsError:
            return load(file, report)
        finally:
            draft.unlink()
        flush_folder(file.parent)
    except OSError as error:
        raise InvalidInput(
            f"the publisher's key {file} can't be made ({error.strerror})", remedy="name one with --publisher-key"
        ) from error
    report(
        f"made your publisher's key, {file}: it signs what you export, and devices take programs of its owner alone. "
        f"Fingerprint {signing.fingerprint(signing.public_key(key))}. Keep a copy offline, and never on a coordinator"
    )
    return key

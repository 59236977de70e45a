"""What an operator can set, and where the secrets come from.

Outside `--dev` the coordinator refuses to start without an admin key and a signing key of its owner's making.

    >>> Settings.from_environment({"FEDRELA_ADMIN_KEY": "k" * 32, "FEDRELA_SIGNING_KEY": "00" * 32}).data_folder.name
    'fedrela-data'
"""

import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from fedrela.coordinator.storage import private
from fedrela.core import signing
from fedrela.core.errors import InvalidInput
from fedrela.core.protocol import links

MINIMAL_ADMIN_KEY = 24
DATABASE_NAME = "coordinator.sqlite"  # in the data folder
_KEY = re.compile(r"[0-9a-f]{64}")
_ADMIN_KEY = re.compile(rf"[!-~]{{{MINIMAL_ADMIN_KEY},}}")  # what a header can carry, whole
_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]{1,260}")


@dataclass(frozen=True)
class Settings:
    """Everything that differs between two coordinators. Secrets never appear in its repr."""

    data_folder: Path
    database_url: str
    blobs_url: str
    admin_key: str = field(repr=False)
    signing_key: str = field(repr=False)
    virtual_clock: bool = False
    dev: bool = False
    idle_retry_seconds: float = 30.0  # for a device that no task wants soon
    requests_per_device_per_second: float = 20.0  # 0: no limit
    requests_per_address_per_second: float = 1000.0
    strangers_per_address: int = 256  # open connections from which no valid credentials have come; 0: no limit
    header_seconds: float = 10.0  # for the head of a request to arrive
    stall_seconds: float = 30.0  # that a body may pause, or a reader take nothing
    retention_days: float = 180.0  # what identifies a device that is silent, or was revoked; 0: for ever
    max_message_bytes: int = 64 * 1024
    max_blob_bytes: int = 1024 * 1024 * 1024
    max_uploads_in_memory_bytes: int = 512 * 1024 * 1024
    keep_checkpoints: int = 0  # of each task, the newest; 0: all
    threads: int = 6  # that do the work of requests; more only wait for each other; 0: the event loop does it
    public_url: str = ""  # what browsers and devices call it, where a proxy doesn't say; empty: by the request

    def __post_init__(self) -> None:
        check_admin_key(
            self.admin_key,
            "FEDRELA_ADMIN_KEY",
            f"set it to a random text of at least {MINIMAL_ADMIN_KEY}, such as `openssl rand -hex 32` "
            "prints; for a trial on this machine use `fedrela serve --dev`",
        )
        if not _KEY.fullmatch(self.signing_key):
            raise InvalidInput(
                "FEDRELA_SIGNING_KEY is not a private Ed25519 key of 64 lower-case hexadecimal digits",
                remedy="set it to what `openssl rand -hex 32` prints and keep it: devices pin its public half; "
                "for a trial on this machine use `fedrela serve --dev`",
            )
        if self.public_url and not (_ORIGIN.fullmatch(self.public_url) and links.is_origin(self.public_url)):
            raise InvalidInput(
                f"FEDRELA_PUBLIC_URL is {self.public_url!r}",
                remedy="set it to what browsers show, without a path: https://fl.example.org",
            )
        if self.virtual_clock and not self.dev:
            raise InvalidInput(
                "FEDRELA_VIRTUAL_CLOCK is set outside development",
                remedy="unset it, or set FEDRELA_DEV=1 for an emulation",
            )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, *, make_secrets: bool = True) -> "Settings":
        """Read the FEDRELA_* variables. With FEDRELA_DEV=1 missing secrets are made and kept in the data folder.

        make_secrets: false for what is done to a coordinator that is there, and so has its secrets. Raises InvalidInput
        for a variable that can't be used, and for a secret that is missing.
        """
        env = os.environ if environment is None else environment
        data = Path(env.get("FEDRELA_DATA") or "fedrela-data").resolve()
        dev = _flag(env, "FEDRELA_DEV")
        return cls(
            data_folder=data,
            database_url=env.get("FEDRELA_DATABASE_URL") or f"sqlite:///{quote(os.fsencode(data / DATABASE_NAME))}",
            blobs_url=env.get("FEDRELA_BLOBS_URL") or (data / "blobs").as_uri(),
            admin_key=env.get("FEDRELA_ADMIN_KEY") or _dev_secret(dev, data / "admin.key", make_secrets),
            signing_key=env.get("FEDRELA_SIGNING_KEY") or _dev_secret(dev, data / "signing.key", make_secrets),
            virtual_clock=_flag(env, "FEDRELA_VIRTUAL_CLOCK"),
            dev=dev,
            idle_retry_seconds=_number(env, "FEDRELA_IDLE_RETRY_SECONDS", 2.0 if dev else 30.0),
            requests_per_device_per_second=_number(env, "FEDRELA_RATE_PER_DEVICE", 0.0 if dev else 20.0),
            requests_per_address_per_second=_number(env, "FEDRELA_RATE_PER_ADDRESS", 0.0 if dev else 1000.0),
            strangers_per_address=_whole(env, "FEDRELA_STRANGERS_PER_ADDRESS", 256),
            header_seconds=_number(env, "FEDRELA_HEADER_SECONDS", 10.0),
            stall_seconds=_number(env, "FEDRELA_STALL_SECONDS", 30.0),
            retention_days=_number(env, "FEDRELA_RETENTION_DAYS", 180.0),
            max_blob_bytes=_whole(env, "FEDRELA_MAX_BLOB_BYTES", 1024 * 1024 * 1024),
            max_uploads_in_memory_bytes=_whole(env, "FEDRELA_MAX_UPLOADS_IN_MEMORY_BYTES", 512 * 1024 * 1024),
            keep_checkpoints=_whole(env, "FEDRELA_KEEP_CHECKPOINTS", 0),
            threads=_whole(env, "FEDRELA_THREADS", 6),
            public_url=env.get("FEDRELA_PUBLIC_URL", "").rstrip("/"),
        )

    @property
    def public_key(self) -> str:
        """The key that devices pin, hexadecimal."""
        return signing.public_key(self.signing_key)


def check_admin_key(key: str, name: str, remedy: str) -> None:
    """Raise InvalidInput unless `key` can be an admin key: long enough, printable ASCII, no spaces.

    `name`: what the one who wrote it calls it. The key itself is in no error.
    """
    if len(key) < MINIMAL_ADMIN_KEY:
        raise InvalidInput(f"{name} has {len(key)} characters", remedy=remedy)
    if not _ADMIN_KEY.fullmatch(key):
        raise InvalidInput(f"{name} holds a space or a character that is not printable ASCII", remedy=remedy)


def _flag(env: Mapping[str, str], name: str) -> bool:
    value = env.get(name, "")
    if value not in ("", "0", "1"):
        raise InvalidInput(f"{name} is {value!r}", remedy="set it to 1 or 0")
    return value == "1"


def _number(env: Mapping[str, str], name: str, default: float) -> float:
    text = env.get(name, "")
    try:
        value = float(text or default)
    except ValueError as error:
        raise InvalidInput(f"{name} is {text!r}", remedy="set it to a number") from error
    if not 0 <= value < float("inf"):
        raise InvalidInput(f"{name} is {text!r}", remedy="set it to 0 or more")
    return value


def _whole(env: Mapping[str, str], name: str, default: int) -> int:
    value = _number(env, name, default)
    if not value.is_integer():
        raise InvalidInput(f"{name} is {env[name]!r}", remedy="set it to a whole number")
    return int(value)


def _dev_secret(dev: bool, path: Path, make: bool) -> str:
    """The secret in `path`, made on first use if `make`; empty (and so refused) outside development.

    It appears under its name whole: of processes that start together one makes it, and all read the same. A file that
    is empty was left by a crash, and is made anew.
    """
    if not dev:
        return ""
    if not make and not (path.is_file() and path.read_text().strip()):
        raise InvalidInput(f"there is no {path}", remedy="name the coordinator's data folder with --data")
    private.make_folder(path.parent)
    if path.exists() and not path.read_text().strip():
        path.unlink(missing_ok=True)
    if not path.exists():
        made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            with private.create(made) as file:
                file.write(f"{secrets.token_hex(32)}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):  # another process was quicker
                os.link(made, path)
        finally:
            made.unlink(missing_ok=True)
    return path.read_text().strip()

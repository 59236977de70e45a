"""A copy of a coordinator's database and blobs, made while it runs; restoring is putting the folder back.

    copy_to(settings, Path("/backup/2026-11-29"))       # coordinator.sqlite and blobs/, a data folder of its own

What the database refers to is in one of two looks at the blobs: before it is copied, and after.
"""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from fedrela.coordinator.settings import DATABASE_NAME, Settings
from fedrela.coordinator.storage import blob_urls, private
from fedrela.coordinator.storage.engines import existing_file
from fedrela.core.errors import InvalidInput, Unavailable

AREAS = ("public", "private")


def copy_to(settings: Settings, folder: Path) -> int:
    """Copy database and blobs into a new folder; return its bytes. Secrets are copied only where they lie beside.

    Raises InvalidInput for a store that isn't a file or a folder that holds something, Unavailable where it can't be.
    """
    source, blobs = _database(settings.database_url), _blobs(settings.blobs_url)
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput(f"{folder} holds something already", remedy="name a new folder")
    try:
        private.make_folder(folder)
        _copy_blobs(blobs, folder / "blobs")
        _copy_database(source, folder / DATABASE_NAME)
        _copy_blobs(blobs, folder / "blobs")
        for secret in (settings.data_folder / name for name in ("admin.key", "signing.key")):  # of `serve --dev`
            if secret.is_file():
                shutil.copy2(secret, folder / secret.name)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(f"the backup can't be written ({error})", remedy="make room, and begin again") from error
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _database(url: str) -> Path:
    if not url.startswith("sqlite:///"):
        raise InvalidInput("the database is PostgreSQL's", remedy="use pg_dump, and copy the blobs after it")
    return existing_file(url)


def _blobs(url: str) -> Path:
    parts = blob_urls.split(url)
    if parts.scheme != "file":
        raise InvalidInput("the blobs are in a bucket", remedy="copy the bucket by its own means, after the database")
    return Path(unquote(parts.path))


def _copy_database(source: Path, target: Path) -> None:
    """One state of it, whatever is written meanwhile: SQLite's own backup."""
    private.create(target).close()
    with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)


def _copy_blobs(source: Path, target: Path) -> None:
    """What isn't there yet. A blob that goes meanwhile is one that nothing needs any more."""
    for area in AREAS:
        private.make_folder(target / area)
        for path in (source / area).iterdir() if (source / area).is_dir() else ():
            copied = target / area / path.name
            if path.suffix == ".part" or copied.exists():
                continue
            try:
                shutil.copy2(path, copied.with_suffix(copied.suffix + ".part"))
                copied.with_suffix(copied.suffix + ".part").replace(copied)
            except FileNotFoundError:
                continue

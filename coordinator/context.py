"""What every operation of a coordinator works with.

>>> # with connect(Settings.from_environment()) as coordinator: closing.expire(coordinator, now)
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from fedrela.coordinator.access.standing import Standing
from fedrela.coordinator.access.standing import load as load_standing
from fedrela.coordinator.settings import DATABASE_NAME, Settings
from fedrela.coordinator.storage import blob_urls, presence, private, stored_tasks
from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage.blobs import Blobs
from fedrela.coordinator.storage.store import Database
from fedrela.core import bundle, strict
from fedrela.core.bundle import Manifest
from fedrela.core.protocol import task_json
from fedrela.core.protocol.seals import Seal
from fedrela.core.task import Task


@dataclass(frozen=True)
class Retry:
    """When something that failed is tried again, in monotonic seconds, and how often it has failed."""

    at: float
    failures: int


@dataclass(frozen=True)
class Coordinator:
    """The open store, the blobs, and the flag that wakes the aggregation worker."""

    settings: Settings
    store: Database
    blobs: Blobs
    standing: Standing
    wake: threading.Event = field(default_factory=threading.Event)
    aggregating: threading.Lock = field(default_factory=threading.Lock)  # one round at a time in a process
    # By task and what can't be done for it, after that failed.
    retries: dict[tuple[str, str], Retry] = field(default_factory=dict)
    # Assignments whose updates this process receives, and until when at the latest.
    uploading: dict[str, float] = field(default_factory=dict)
    retained_at: dict[str, float] = field(default_factory=dict)  # when `rounds/retention.py` was last at work
    manifests: dict[str, Manifest] = field(default_factory=dict)  # by hash, so never stale

    def manifest(self, sha256: str) -> Manifest:
        """A published manifest. Raises IntegrityError where its blob is missing or damaged."""
        if sha256 not in self.manifests:
            body = blob_store.needed(self.blobs, blob_store.public(sha256))
            self.manifests[sha256] = bundle.parse_manifest(body)
        return self.manifests[sha256]


@contextmanager
def connect(settings: Settings) -> Iterator[Coordinator]:
    """Open the store and the blobs; close them at the end."""
    # A folder of ours, which an older version left open to all, or a restored backup.
    if any((settings.data_folder / name).exists() for name in (DATABASE_NAME, "blobs")):
        private.tighten(settings.data_folder)
    store = Database(settings.database_url, virtual_clock=settings.virtual_clock)
    try:
        blobs = blob_urls.connect(settings.blobs_url)
        stored_tasks.rewrite(store, blobs)
        stored_tasks.seal(store, settings.signing_key)
        with store.read() as view:
            standing = load_standing(view, settings.public_key)
        with presence.at_work(settings.database_url, store):
            yield Coordinator(settings, store, blobs, standing)
    finally:
        store.close()


@lru_cache(maxsize=256)
def parse_seal(stored: str) -> Seal:
    """A publisher's seal as the database keeps it."""
    return strict.from_json(Seal, stored)


@lru_cache(maxsize=256)
def parse_task(stored: str) -> Task:
    """A task as the database keeps it."""
    return task_json.decode(stored)

"""The owner's record of what left the device. It is bounded, also while the device runs.

log = SentLog(store)
log.add(now, "POST", "/v1/check-ins", body)         # before it is sent
"""

import json
from dataclasses import dataclass, field

from fedrela.core import signing
from fedrela.edge.storage.store import Store

LOG_KEY = "log/sent.jsonl"
# Of messages whose newest one is kept; a group's go by `secure/...`.
KINDS = ("devices", "check-ins", "update", "failure", "evaluation", "keys", "shares", "agreement", "reveal")
# What of a message is no owner's to read again: whoever holds a link's token can take a place in the fleet.
SECRETS = {"devices": "enrollment_token"}
LEFT_OUT = "(the link's secret, not kept)"
LOG_BYTES = 4_000_000  # a longer log keeps its newer half


@dataclass
class SentLog:
    """The owner's record of what left the device: one JSON line per request, and the newest body of each kind.

    Lines say when, what, how many bytes and their SHA-256; tokens are never written, not with a body either.
    """

    store: Store
    keep_bodies: bool = True
    _bytes: int = 0  # of the log now
    _kept: dict[str, str] = field(default_factory=dict)  # the hashes of the bodies that are kept, by kind

    def __post_init__(self) -> None:
        self._shorten()

    def add(self, at: float, method: str, path: str, body: bytes | bytearray) -> None:
        """Record one request before it is sent."""
        sha256 = signing.sha256(body)
        line = {"at": at, "method": method, "path": path, "bytes": len(body), "sha256": sha256}
        entry = json.dumps(line).encode() + b"\n"
        if self._bytes + len(entry) > LOG_BYTES:
            self._shorten(len(entry))
        self.store.append(LOG_KEY, entry)
        self._bytes += len(entry)
        kind = path.rsplit("/", 1)[-1]
        is_message = kind in KINDS and bool(body)  # a question is no message, though its path may end like one's
        if self.keep_bodies and is_message and self._kept.get(kind) != sha256:
            self.store.put(f"last/{kind}", _without_secret(kind, body))
            self._kept[kind] = sha256

    def _shorten(self, more: int = 0) -> None:
        """Keep the newer half of a log that is too long, or would be with so many bytes more."""
        log = self.store.get(LOG_KEY) or b""
        if len(log) + more > LOG_BYTES:
            newer = log[-LOG_BYTES // 2 :]
            log = newer[newer.find(b"\n") + 1 :]
            self.store.put(LOG_KEY, log)
        self._bytes = len(log)

    def lines(self) -> list[dict[str, object]]:
        """Every recorded request, oldest first; a torn last line is left out."""
        return lines(self.store)


def _without_secret(kind: str, body: bytes | bytearray) -> bytes | bytearray:
    """The message without the token that is in it."""
    secret = SECRETS.get(kind)
    return json.dumps(json.loads(body) | {secret: LEFT_OUT}).encode() if secret else body


def lines(store: Store) -> list[dict[str, object]]:
    """What a log holds, for whoever only reads: a device may be writing it."""
    recorded = []
    for line in (store.get(LOG_KEY) or b"").splitlines():
        try:
            recorded.append(json.loads(line))
        except ValueError:
            continue
    return recorded

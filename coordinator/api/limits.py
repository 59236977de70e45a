"""How much a stranger may ask for: rates by address and by device, sizes of headers and bodies, slow bodies.

Counters are kept per process: with four workers the limits are four times as wide, and a restart forgets them; they
protect the process, while every promise of the protocol is kept by the database.

    >>> bucket = RateLimit(per_second=1.0)
    >>> [bucket.take("a", now) for now in (0.0, 0.1, 0.2, 9.0)]
    [0.0, 0.0, 0.8, 0.0]
"""

import asyncio
import ipaddress
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import ClientDisconnect, Request
from starlette.types import Scope

from fedrela.coordinator.api.problems import TooMany
from fedrela.core.errors import InvalidMessage, Refused

BURST_SECONDS = 2.0  # a quiet client may send this many seconds' worth at once
MAX_HEADER_BYTES = 16 * 1024
MESSAGE_SECONDS = 10.0  # for a JSON body to arrive
UPLOADS_PER_DEVICE = 2  # one, and one more while the connection of a broken one is still thought to be alive
UNKNOWN_ADDRESS = "unknown"  # of who comes through a Unix socket, and no proxy says who it is
_MOST_KEYS = 200_000
_LENGTH = re.compile(r"[0-9]{1,18}")


class RateLimit:
    """Token buckets by key. `take` returns 0, or the seconds after which to try again."""

    def __init__(self, per_second: float, burst: float = 0.0) -> None:
        self.per_second = per_second
        self._full = burst or max(per_second * BURST_SECONDS, 1.0)
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, key: str, now: float, *, count: bool = True) -> float:
        """Count one request of `key`, or only look; `now` in seconds of a monotonic clock."""
        if self.per_second <= 0:
            return 0.0
        with self._lock:
            if len(self._buckets) >= _MOST_KEYS:
                self._buckets.clear()
            level, since = self._buckets.get(key, (self._full, now))
            level = min(level + (now - since) * self.per_second, self._full)
            allowed = level >= 1.0 - 1e-9
            self._buckets[key] = (level - 1.0 if allowed and count else level, now)
            return 0.0 if allowed else round((1.0 - level) / self.per_second, 3)

    def check(self, key: str, now: float, *, count: bool = True) -> None:
        """Raise TooMany if `key` asks too often."""
        wait = self.take(key, now, count=count)
        if wait:
            raise TooMany("too many requests", remedy="wait as long as Retry-After says", retry_after_seconds=wait)


class UploadMemory:
    """Bytes of request bodies held at one time in this process: what has come, not what was announced.

    Called on the event loop, so no lock. A device has a budget of its own, `UPLOADS_PER_DEVICE` bodies at a time, so
    that its half-sent ones are in no other's way.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self._uploads: Counter[str] = Counter()  # by device

    def take(self, length: int, held_by_body: int = 0) -> None:
        """Hold more of a body that holds `held_by_body` bytes. One larger than the whole limit may come alone."""
        if self.held_bytes > held_by_body and self.held_bytes + length > self.limit_bytes:
            raise _too_many_uploads()
        self.held_bytes += length

    def give_back(self, length: int) -> None:
        """Free what `take` took."""
        self.held_bytes -= length

    @contextmanager
    def upload(self, device_id: str, length: int) -> Iterator["UploadBody"]:
        """One body of a device, announced with `length` bytes. Raises TooMany where it can't come now."""
        full = self.held_bytes and self.held_bytes + length > self.limit_bytes
        if full or self._uploads[device_id] >= UPLOADS_PER_DEVICE:
            raise _too_many_uploads()
        self._uploads[device_id] += 1
        body = UploadBody(self)
        try:
            yield body
        finally:
            self.give_back(body.held_bytes)
            self._uploads[device_id] -= 1
            if not self._uploads[device_id]:
                del self._uploads[device_id]


class UploadBody:
    """What of one body is in memory."""

    def __init__(self, memory: UploadMemory) -> None:
        self._memory = memory
        self.held_bytes = 0

    def take(self, length: int) -> None:
        """Hold more of it. Raises TooMany."""
        self._memory.take(length, self.held_bytes)
        self.held_bytes += length


def _too_many_uploads() -> TooMany:
    return TooMany("too many uploads at this moment", remedy="try again soon", retry_after_seconds=2.0, status=503)


def address_of(scope: Scope) -> str:
    """Who asks: the peer's address, or what a trusted proxy says of it."""
    return str(scope["client"][0]) if scope.get("client") else UNKNOWN_ADDRESS


def network_of(address: str) -> str:
    """What one client is taken to hold: an IPv4 address, or the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))


def declared_length(request: Request) -> int | None:
    """Content-Length; None where there is none (a chunked body)."""
    text = request.headers.get("content-length")
    if text is None:
        return None
    if not _LENGTH.fullmatch(text):
        raise InvalidMessage(f"Content-Length is {text[:20]!r}", remedy="send the number of bytes")
    return int(text)


async def read_body(request: Request, max_bytes: int, seconds: float, memory: UploadBody | None = None) -> bytes:
    """The body, if it is as long as it says, at most `max_bytes`, and arrives within `seconds`.

    `memory` counts what has come. A body that says that it is too long is refused before a byte of it is read. Raises
    Refused or InvalidMessage.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise Refused("the body is compressed", remedy="send it as it is", code="compressed", status=415)
    declared = declared_length(request)
    if declared is not None and declared > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    received = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                received += len(chunk)
                if received > max_bytes:
                    raise _too_large(max_bytes)
                if memory is not None:
                    memory.take(len(chunk))
                chunks.append(chunk)
    except TimeoutError as error:
        raise Refused(
            f"the body did not arrive within {seconds:.0f} seconds",
            remedy="send it again over a faster connection",
            code="body-too-slow",
            status=408,
        ) from error
    except ClientDisconnect as error:
        raise InvalidMessage("the body ended early", remedy="send it again, whole") from error
    if declared is not None and received != declared:
        raise InvalidMessage(f"the body has {received} of {declared} bytes", remedy="send it again, whole")
    return b"".join(chunks)


def _too_large(max_bytes: int) -> Refused:
    return Refused(f"the body is larger than {max_bytes} bytes", remedy="send less", code="too-large", status=413)

"""Blobs over HTTP: strong ETag, one byte range (RFC 9110, section 14), conditional requests.

>>> byte_range("bytes=5-", 10), byte_range("bytes=-3", 10), byte_range("lines=1-2", 10)
((5, 10), (7, 10), None)
"""

import hashlib
import re
from collections.abc import AsyncIterator

from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from fedrela.coordinator.api.problems import RangeOutside
from fedrela.coordinator.api.threads import in_blob_thread
from fedrela.coordinator.monitoring import metrics
from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage import rows
from fedrela.coordinator.storage.blobs import Blobs
from fedrela.core import signing
from fedrela.core.errors import Unavailable

CHUNK = 512 * 1024  # what a reader that takes nothing costs, besides its connection
CHECKED_BYTES = 16 * 1024 * 1024  # a whole blob up to this size is checked each time; the receiver checks all of them
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """(start, end) of a Range header, end exclusive; None to ignore it. Raises Refused(416)."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        start, end = max(size - int(match[2]), 0), size
    else:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or start >= end:
        raise RangeOutside(size)
    return start, end


async def respond(blobs: Blobs, sha256: str, headers: Headers) -> Response:
    """200 with everything, 206 with a range, or 304. No more of a blob is in memory than a reader takes at a time."""
    name, etag = blob_store.public(sha256), f'"{sha256}"'
    try:
        size = await in_blob_thread(blobs.size, name)
    except KeyError as error:
        raise rows.not_found("blob") from error
    fixed = {"ETag": etag, "Accept-Ranges": "bytes", "Cache-Control": "private, max-age=31536000, immutable"}
    known = headers.get("if-none-match", "")
    if known.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in known.split(",")]:
        return Response(status_code=304, headers=fixed)
    requested_range = None
    if "range" in headers and headers.get("if-range", etag) == etag:
        requested_range = byte_range(headers["range"], size)
    start, end = requested_range or (0, size)
    fixed["Content-Length"] = str(end - start)
    if requested_range:
        fixed["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    metrics.BYTES_SENT.inc(end - start)
    status, media = (206 if requested_range else 200), "application/octet-stream"
    if end - start <= CHUNK:
        body = await in_blob_thread(_read, blobs, name, start, end)
        if end - start == size and signing.sha256(body) != sha256:
            raise _damaged(sha256)
        return Response(body, status, fixed, media_type=media)
    if end - start == size and size <= CHECKED_BYTES and await in_blob_thread(_sha256, blobs, name, size) != sha256:
        raise _damaged(sha256)
    return StreamingResponse(_chunks(blobs, name, start, end), status, fixed, media_type=media)


def _read(blobs: Blobs, name: str, start: int, end: int) -> bytes:
    try:
        return blobs.read(name, start, end - start)
    except KeyError as error:
        raise _damaged(name[-64:]) from error


def _sha256(blobs: Blobs, name: str, size: int) -> str:
    """The hash of what is stored, read piece by piece."""
    digest = hashlib.sha256()
    for start in range(0, size, blobs.tile_bytes):
        digest.update(_read(blobs, name, start, min(start + blobs.tile_bytes, size)))
    return digest.hexdigest()


def _damaged(sha256: str) -> Unavailable:
    return Unavailable(
        f"blob {sha256[:12]} is damaged in the coordinator's store",
        remedy="the operator has to restore it from a backup",
    )


async def _chunks(blobs: Blobs, name: str, start: int, end: int) -> AsyncIterator[bytes]:
    """The next piece is read when the reader has taken the one before: uvicorn lets `send` wait."""
    for offset in range(start, end, CHUNK):
        yield await in_blob_thread(blobs.read, name, offset, min(CHUNK, end - offset))

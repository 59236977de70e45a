"""Downloads that go on where they stopped, named and checked by their SHA-256.

What has arrived is kept at least every 256 KB, so that a download survives a lost connection and a restart; a blob that
arrives whole but wrong is fetched again, in case it was damaged on its way.

    body = download(transport, sha256, store, limit_bytes=4_000_000)
"""

import hashlib
from contextlib import suppress

import httpx

from fedrela.core.errors import IntegrityError, Unavailable
from fedrela.core.wire import check_sha256_name
from fedrela.edge.network.transport import Transport, TryAgain, raise_for_status
from fedrela.edge.storage.store import Store

CHUNK_BYTES = 262_144
DAMAGED_DOWNLOADS = 3  # a blob that is wrong this often is wrong at its source


def download(transport: Transport, sha256: str, partial: Store, *, limit_bytes: int) -> bytes:
    """The blob. Raises IntegrityError if it never matches its name or is longer than announced, and Unavailable."""
    check_sha256_name(sha256)
    key = f"partial/{sha256}"
    wrong = 0

    def attempt() -> bytes:
        nonlocal wrong
        body = _fetch(transport, sha256, partial, key, limit_bytes)
        if hashlib.sha256(body).hexdigest() == sha256:
            return body
        partial.delete(key)
        wrong += 1
        if wrong < DAMAGED_DOWNLOADS:
            raise TryAgain("a download was damaged")
        raise IntegrityError(
            f"the coordinator's blob {sha256[:12]} does not match its hash",
            remedy="nothing was loaded; tell the operator that a stored file is damaged",
        )

    body = transport.again(attempt)
    partial.delete(key)
    return body


def _fetch(transport: Transport, sha256: str, partial: Store, key: str, limit_bytes: int) -> bytes:
    """One request for what is missing, put behind what is there."""
    have = partial.get(key) or b""
    headers = {"Range": f"bytes={len(have)}-"} if have else {}
    with transport.request("GET", f"/v1/blobs/{sha256}", b"", headers) as response:
        if not _goes_on(transport, response, len(have)):
            partial.delete(key)
            if response.status_code in (206, 416):
                raise TryAgain("the coordinator has another range than this device asked for")
            have = b""
        return _read(transport, response, have, partial, key, limit_bytes)


def _goes_on(transport: Transport, response: httpx.Response, have: int) -> bool:
    """Whether the answer continues what is there; False for the whole blob, or for a range that doesn't fit."""
    if response.status_code == 416:
        return False
    raise_for_status(response, transport.short_answer)
    if response.status_code == 206:
        return str(response.headers.get("content-range", "")).startswith(f"bytes {have}-")
    return have == 0


def _read(
    transport: Transport, response: httpx.Response, have: bytes, partial: Store, key: str, limit_bytes: int
) -> bytes:
    body, unsaved = bytearray(have), bytearray()
    try:
        for chunk in transport.chunks(response):
            body += chunk
            unsaved += chunk
            if len(body) > limit_bytes:
                partial.delete(key)
                raise IntegrityError(
                    f"the blob {key[8:20]} is longer than the {limit_bytes} bytes announced",
                    remedy="nothing was loaded; tell the operator",
                )
            if len(unsaved) >= CHUNK_BYTES:
                partial.append(key, bytes(unsaved))
                unsaved.clear()
    except TryAgain:
        with suppress(Unavailable):  # it will be fetched again
            partial.append(key, bytes(unsaved))
        raise
    return bytes(body)

"""The mean of plain float32 updates by tiles: one tile of the model is added up over all updates, then the next.

A tile of the sum, and the part of an update that is added to it, stay in the processor's cache, and no whole update is
ever in memory: the mean holds one float64 model and a few tiles. Tiles are independent, so that some are worked on at
a time; each element is still summed in the order of the updates, and the result has the same bits as
`fedrela.core.aggregation.aggregate.mean`.
"""

import json
import os
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.coordinator.storage import blobs as blob_store
from fedrela.coordinator.storage.blobs import DIGEST_PIECE, Blobs
from fedrela.core.aggregation import aggregate
from fedrela.core.tensors import Params, TensorSpec

THREADS = min(2, os.cpu_count() or 1)  # more would take the processors from requests
PROGRESS_SECONDS = 1.0
_HEAD_BYTES = 32 * 1024  # most headers are shorter


@dataclass(frozen=True)
class Part:
    """One stored float32 update and how it counts: its values times `factor` (in float32), times `weight`."""

    name: str
    digest: str  # blobs.quick_digest of the body
    size_bytes: int
    weight: float
    factor: float = 1.0


@dataclass(frozen=True)
class _Layout:
    """Where a body's values begin, and which tensors they are: (name, first byte, end), in the order of the bytes."""

    start: int
    tensors: tuple[tuple[str, int, int], ...]


def mean(
    blobs: Blobs, parts: list[Part], specs: tuple[TensorSpec, ...], *, on_progress: Callable[[], None]
) -> Params | None:
    """The weighted mean, summed in the order of `parts`; None where the bodies don't all have one order of tensors.

    `on_progress` is called about once a second. Raises IntegrityError naming an update that is missing or damaged.
    """
    divisor = aggregate.total_weight(part.weight for part in parts)
    size = sum(spec.size for spec in specs)
    layouts = [_layout(blobs, part, size) for part in parts]
    if any(layout.tensors != layouts[0].tensors for layout in layouts):
        return None
    total = np.zeros(size, np.float64)
    starts = range(0, size, blobs.tile_bytes // 4)

    def tile(start: int) -> list[NDArray[np.uint64]]:
        with np.errstate(all="ignore"):  # a damaged body is found by its digest
            into = total[start : start + blobs.tile_bytes // 4]
            return [_add(blobs, part, layout.start, into, start) for part, layout in zip(parts, layouts, strict=True)]

    with ThreadPoolExecutor(THREADS) as pool:
        under_way = [pool.submit(tile, start) for start in starts]
        while wait(under_way, PROGRESS_SECONDS).not_done:
            on_progress()
    sums = [one.result() for one in under_way]
    for index, part in enumerate(parts):
        _check(blobs, part, layouts[index].start, [of_tile[index] for of_tile in sums], starts)
    values = aggregate.divided(total, divisor)
    values_by_name = {name: values[begin // 4 : end // 4] for name, begin, end in layouts[0].tensors}
    return {spec.name: values_by_name[spec.name].reshape(tuple(int(d) for d in spec.shape)) for spec in specs}


def _layout(blobs: Blobs, part: Part, size: int) -> _Layout:
    """Read a body's header."""
    head = _read(blobs, part, 0, min(_HEAD_BYTES, part.size_bytes))
    try:
        (header_bytes,) = struct.unpack_from("<Q", head)
        start = 8 + header_bytes
        if start + 4 * size != part.size_bytes:
            raise blob_store.damaged(part.name)
        if start > len(head):
            head = _read(blobs, part, 0, start)
        header = json.loads(head[8:start])
        tensors = [(name, *entry["data_offsets"]) for name, entry in header.items() if name != "__metadata__"]
    except (struct.error, ValueError, KeyError, TypeError) as error:
        raise blob_store.damaged(part.name) from error
    return _Layout(start, tuple(sorted(tensors, key=lambda tensor: int(tensor[1]))))


def _add(blobs: Blobs, part: Part, start: int, tile: NDArray[np.float64], first: int) -> NDArray[np.uint64]:
    """Add the elements of a tile, which begins with element `first`; gives the sums that the digest is made of."""
    at = start + 4 * first
    data = _read(blobs, part, at, 4 * tile.size)
    values = np.frombuffer(data, np.float32)
    aggregate.add_weighted(tile, values * np.float32(part.factor) if part.factor != 1 else values, part.weight)
    return _piece_sums(data, at, part)


def _piece_sums(data: bytes, at: int, part: Part) -> NDArray[np.uint64]:
    """The sums of the 64-bit words of `data`, by the pieces of the body in which they lie; see blobs.quick_digest."""
    words = max(min(at + len(data), _whole(part)) - at, 0) // 8
    if not words:
        return np.zeros(0, np.uint64)
    edges = [0, *range((-at % DIGEST_PIECE or DIGEST_PIECE) // 8, words, DIGEST_PIECE // 8)]
    return np.add.reduceat(np.frombuffer(data, "<u8", words), edges)


def _check(blobs: Blobs, part: Part, start: int, sums: list[NDArray[np.uint64]], firsts: range) -> None:
    """Raise IntegrityError unless the body that was read is the one that was accepted."""
    whole = _whole(part)
    rest = _read(blobs, part, whole, part.size_bytes - whole)
    total = np.zeros(whole // DIGEST_PIECE, np.uint64)
    head = _piece_sums(_read(blobs, part, 0, start), 0, part)
    for at, tile_sum in [(0, head), *zip((start + 4 * first for first in firsts), sums, strict=True)]:
        piece = at // DIGEST_PIECE
        total[piece : piece + tile_sum.size] += tile_sum
    if blob_store.digest_of(part.size_bytes, total, rest) != part.digest:
        raise blob_store.damaged(part.name)


def _whole(part: Part) -> int:
    return part.size_bytes - part.size_bytes % DIGEST_PIECE


def _read(blobs: Blobs, part: Part, at: int, length: int) -> bytes:
    if not length:
        return b""  # some stores refuse an empty range
    try:
        data = blobs.read(part.name, at, length)
    except KeyError as error:
        raise blob_store.missing(part.name) from error
    if len(data) != length:
        raise blob_store.damaged(part.name)
    return data

"""Which sample is which, whenever data are read anew: a key of 64 bits, from the sample's values or from a declared id.

A row's number names nothing: rows move when others are put in front. A key by values says "the second sample of exactly
these values", whatever its label and wherever it lies. Keys stay on the device.

    >>> before, after = np.array([[5], [7], [5]], np.uint8), np.array([[9], [5], [7], [5]], np.uint8)
    >>> of_digests(digests({"x": after}, 4))[1:].tolist() == of_digests(digests({"x": before}, 3)).tolist()
    True
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidData
from fedrela.core.tensors import Array


def digests(x: Mapping[str, Array], samples: int) -> list[bytes]:
    """A hash of each sample's values, over all its inputs."""
    inputs = [np.ascontiguousarray(x[name]) for name in sorted(x)]
    hashes = []
    for row in range(samples):
        digest = hashlib.blake2b(digest_size=16)
        for values in inputs:
            digest.update(values[row].tobytes())
        hashes.append(digest.digest())
    return hashes


def of_digests(hashes: Sequence[bytes]) -> NDArray[np.uint64]:
    """Keys (n,) by values: of a hash and its count among equal ones, the first 1."""
    counts: dict[bytes, int] = {}
    keys = np.empty(len(hashes), np.uint64)
    for row, digest in enumerate(hashes):
        counts[digest] = count = counts.get(digest, 0) + 1
        keys[row] = _number(digest + count.to_bytes(8, "little"))
    return keys


def of_ids(ids: NDArray[Any]) -> NDArray[np.uint64]:
    """Keys (n,) by declared ids: whole numbers from 0 on as they are, text by its hash. Raises InvalidData."""
    if ids.ndim == 1 and ids.dtype.kind == "U":
        return of_texts(ids.tolist())
    if ids.ndim == 1 and (ids.dtype.kind == "u" or (ids.dtype.kind == "i" and (ids >= 0).all())):
        return ids.astype(np.uint64)
    raise InvalidData(
        f"the ids of the samples have shape {ids.shape} and dtype {ids.dtype}",
        remedy="pass (n,) whole numbers or texts",
    )


def of_texts(texts: Sequence[str]) -> NDArray[np.uint64]:
    """Keys (n,) by the hashes of texts."""
    return np.array([_number(text.encode(errors="surrogatepass")) for text in texts], np.uint64)


def _number(body: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "little")

"""Words of 32 bits in a safetensors file that is made before its words are: a large vector is in memory once.

The bytes are those that `tensors.to_bytes` makes of one int32 tensor.

    >>> body, words = new("masked", 2, {"by": "?"})
    >>> words[:] = 1, 2
    >>> finish(body, "masked", 2, {"by": "x"})
    >>> view(bytes(body), "masked", {"by": "x"}).tolist()
    [1, 2]
"""

import json
import struct
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidTensors

_WORD_BYTES = 4
_ALIGNMENT = 8  # of the header's length
_LONGEST_HEAD = 4096


def new(name: str, size: int, metadata: Mapping[str, str]) -> tuple[bytearray, NDArray[np.uint32]]:
    """A file of `size` words, all zero, and the words in it: what is written to these, (size,), is in the file."""
    head = _head(name, size, metadata)
    body = bytearray(len(head) + _WORD_BYTES * size)
    body[: len(head)] = head
    return body, np.frombuffer(body, "<u4", size, len(head))


def finish(body: bytearray, name: str, size: int, metadata: Mapping[str, str]) -> None:
    """Give a file another metadata, whose text has the same length."""
    head = _head(name, size, metadata)
    assert len(head) + _WORD_BYTES * size == len(body)
    memoryview(body)[: len(head)] = head


def view(body: bytes, name: str, metadata: Mapping[str, str]) -> NDArray[np.int32]:
    """The words, where they lie. Raises InvalidTensors for bytes that are not a file with this name and metadata."""
    start = 8 + int.from_bytes(body[:8], "little")
    size = (len(body) - start) // _WORD_BYTES
    if start > min(_LONGEST_HEAD, len(body)) or body[:start] != _head(name, size, metadata):
        raise InvalidTensors(f"the bytes are not a file of the words {name!r}", remedy="make it again")
    if len(body) != start + _WORD_BYTES * size:
        raise InvalidTensors(f"the words {name!r} are cut short", remedy="make the file again")
    return np.frombuffer(body, "<i4", size, start)


def _head(name: str, size: int, metadata: Mapping[str, str]) -> bytes:
    """What stands before the words."""
    described = {"dtype": "I32", "shape": [size], "data_offsets": [0, _WORD_BYTES * size]}
    entries = {"__metadata__": dict(sorted(metadata.items())), name: described}
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNMENT)
    return struct.pack("<Q", len(header)) + header

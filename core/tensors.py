"""Named float32 arrays: what a model's weights and a device's update are.

`Params` maps tensor names to arrays in manifest order. The functions here are the only place that loops over the
tensors of a model. Bytes are safetensors (https://github.com/huggingface/safetensors#format), read and written by that
library.

    >>> import numpy as np
    >>> specs = (TensorSpec("w", (2,)),)
    >>> body = to_bytes({"w": np.ones(2, np.float32)})
    >>> from_bytes(body, specs)["w"]
    array([1., 1.], dtype=float32)
"""

import json
import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, TypeAlias

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from fedrela.core.errors import InvalidTensors
from fedrela.core.protocol import json_text

Array: TypeAlias = NDArray[Any]
Params: TypeAlias = dict[str, NDArray[np.float32]]

# safetensors' dtype names for what we ever send or store.
_DTYPES = {
    "F32": "float32",
    "F16": "float16",
    "I8": "int8",
    "U8": "uint8",
    "I32": "int32",
    "I64": "int64",
    "BOOL": "bool",
}

# Of any tensor, whether a program takes it or a file holds it.
MOST_DIMENSIONS = 16
LARGEST_DIMENSION = 2**31 - 1
MOST_ELEMENTS = 2**40
_BLOCK = 16_384  # elements that stay in the processor's cache
_DESCRIPTION = {"dtype", "shape", "data_offsets"}  # of a tensor in a file's header


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and dtype of one tensor. A dimension named "B" is the batch size, "N" any number of samples."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"

    @property
    def size(self) -> int:
        """Number of elements; every dimension must be a number."""
        return math.prod(int(dimension) for dimension in self.shape)


def zeros(specs: Iterable[TensorSpec]) -> Params:
    """All-zero tensors for `specs`."""
    return {spec.name: np.zeros(tuple(int(d) for d in spec.shape), np.float32) for spec in specs}


def subtract(left: Params, right: Params) -> Params:
    """`left - right`, tensor by tensor."""
    return {name: left[name] - right[name] for name in left}


def add(left: Params, right: Params) -> Params:
    """`left + right`, tensor by tensor."""
    return {name: left[name] + right[name] for name in left}


def scale(params: Params, factor: float) -> Params:
    """`factor * params` in float32."""
    return {name: array * np.float32(factor) for name, array in params.items()}


def l2_norm(params: Params) -> float:
    """Euclidean norm of all elements together, summed in float64."""
    return float(np.sqrt(sum(float(np.sum(np.square(array, dtype=np.float64))) for array in params.values())))


def squared_norm(params: Mapping[str, Array]) -> float:
    """The sum of all elements' squares in float64; not finite where an element isn't. O(1) memory beyond the tensors.

    No float32 overflows it: for finite tensors of up to 2^40 elements it is below 2e89.
    """
    total = 0.0
    for array in params.values():
        flat = array.reshape(-1)
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK].astype(np.float64)
            total += float(np.dot(block, block))
    return total


def specs_of(params: Mapping[str, Array]) -> tuple[TensorSpec, ...]:
    """The specs that `params` satisfies, in its order."""
    return tuple(TensorSpec(name, array.shape, array.dtype.name) for name, array in params.items())


def to_bytes(tensors: Mapping[str, Array], metadata: Mapping[str, str] | None = None) -> bytes:
    """Serialize as safetensors. The same tensors and metadata give the same bytes."""
    contiguous = {name: np.asarray(array, array.dtype.newbyteorder("<"), order="C") for name, array in tensors.items()}
    specs = tuple((name, array.dtype, array.shape) for name, array in contiguous.items())
    head, names = _head(specs, tuple(sorted((metadata or {}).items())))
    return b"".join([head, *(contiguous[name].data for name in names)])


@lru_cache(maxsize=64)
def _head(
    specs: tuple[tuple[str, np.dtype[Any], tuple[int, ...]], ...], metadata: tuple[tuple[str, str], ...]
) -> tuple[bytes, tuple[str, ...]]:
    """What stands before the tensors' bytes, and the order of these: both as the library has it.

    `__metadata__` is put first, keys sorted: the library writes them in an order that changes by run. Devices write
    the same tensors again and again, so this is remembered.
    """
    body = safetensors.numpy.save({name: np.zeros(shape, dtype) for name, dtype, shape in specs})
    (header_bytes,) = struct.unpack_from("<Q", body)
    entries = json.loads(body[8 : 8 + header_bytes])
    names = tuple(sorted(entries, key=lambda name: tuple(entries[name]["data_offsets"])))
    if not metadata:
        return body[: 8 + header_bytes], names
    header = json.dumps({"__metadata__": dict(metadata), **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header, names


def read(body: bytes) -> dict[str, Array]:
    """Parse safetensors bytes into arrays, sorted by name, without checking them against anything.

    The library lists them in an order that changes by run.

    Raises InvalidTensors if the bytes are truncated, overlong or malformed, or hold a dtype or a shape we never use.
    """
    _check_header(body)
    try:
        entries = safetensors.deserialize(bytes(body))  # type: ignore[no-untyped-call]
    except (safetensors.SafetensorError, ValueError, OverflowError) as error:
        raise InvalidTensors(
            f"the bytes are not a well-formed safetensors file ({error})", remedy="send the file again, whole"
        ) from error
    arrays: dict[str, Array] = {}
    for name, entry in sorted(entries, key=itemgetter(0)):
        dtype = _DTYPES.get(str(entry["dtype"]))
        if dtype is None:
            raise InvalidTensors(
                f"tensor {name!r} has dtype {entry['dtype']}", remedy=f"use one of {', '.join(sorted(_DTYPES))}"
            )
        arrays[name] = np.frombuffer(bytes(entry["data"]), dtype=dtype).reshape(entry["shape"])
    return arrays


def _check_header(body: bytes) -> None:
    """Raise InvalidTensors for a header that the library takes and other readers don't: see `json_text`.

    It comes before the library, which spends twenty times a header's size on one of many tensors.
    """
    header_bytes = int.from_bytes(body[:8], "little")
    if len(body) < 8 or header_bytes > len(body) - 8:
        raise InvalidTensors("the tensors' bytes are cut short", remedy="send the file again, whole")
    header = json_text.parse(bytes(body[8 : 8 + header_bytes]), InvalidTensors)
    if not isinstance(header, dict):
        raise InvalidTensors("the tensors' header is no JSON object", remedy="send the file again, whole")
    for name, entry in header.items():
        if name != "__metadata__":
            _check_entry(name, entry)


def _check_entry(name: str, entry: Any) -> None:
    described = isinstance(entry, dict) and entry.keys() == _DESCRIPTION and isinstance(entry["dtype"], str)
    shape = entry["shape"] if described else None
    if not (isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)):
        raise InvalidTensors(f"tensor {name[:100]!r} has no description", remedy="send the file again, whole")
    elements = math.prod(filter(None, shape))  # numpy's arrays without an element are bounded, too
    if len(shape) > MOST_DIMENSIONS or max(shape, default=0) > LARGEST_DIMENSION or elements > MOST_ELEMENTS:
        raise InvalidTensors(f"tensor {name[:100]!r} is too large", remedy="send smaller tensors")


def read_metadata(body: bytes) -> dict[str, str]:
    """The `__metadata__` of safetensors bytes that `read` has accepted; empty if there is none."""
    (header_bytes,) = struct.unpack_from("<Q", body)
    header = json.loads(bytes(body[8 : 8 + header_bytes]))
    metadata: dict[str, str] | None = header.get("__metadata__")
    return metadata or {}


def view(body: bytes) -> dict[str, Array]:
    """Read-only arrays over safetensors bytes that `read` has accepted before; nothing is copied or checked."""
    (header_bytes,) = struct.unpack_from("<Q", body)
    header = json.loads(bytes(body[8 : 8 + header_bytes]))
    arrays: dict[str, Array] = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            dtype = np.dtype(_DTYPES[entry["dtype"]])
            flat = np.frombuffer(body, dtype, (end - begin) // dtype.itemsize, 8 + header_bytes + begin)
            arrays[name] = flat.reshape(entry["shape"])
    return arrays


def check(tensors: Mapping[str, Array], specs: Iterable[TensorSpec]) -> None:
    """Raise InvalidTensors unless `tensors` has exactly the names, shapes and dtypes of `specs`, all values finite."""
    expected = {spec.name: spec for spec in specs}
    missing = [name for name in expected if name not in tensors]
    surplus = [name for name in tensors if name not in expected]
    if missing or surplus:
        raise InvalidTensors(
            f"tensor names differ from the manifest (missing: {missing[:3]}, unknown: {surplus[:3]})",
            remedy="send exactly the tensors that the manifest lists",
        )
    for name, spec in expected.items():
        array = tensors[name]
        if array.dtype != spec.dtype:  # numpy knows dtypes by their names
            raise InvalidTensors(f"tensor {name!r} is {array.dtype.name}", remedy=f"send it as {spec.dtype}")
        if array.shape != tuple(spec.shape):
            raise InvalidTensors(
                f"tensor {name!r} has shape {array.shape}", remedy=f"send it with shape {tuple(spec.shape)}"
            )
    check_finite(tensors)


def check_finite(tensors: Mapping[str, Array]) -> None:
    """Raise InvalidTensors where a value is not finite."""
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InvalidTensors(
                f"tensor {name!r} holds a value that is not finite",
                remedy="lower the learning rate or leave the diverged sample out",
            )


def from_bytes(body: bytes, specs: Iterable[TensorSpec]) -> Params:
    """Parse and check; the result is in the order of `specs`. Raises InvalidTensors."""
    specs = tuple(specs)
    arrays = read(body)
    check(arrays, specs)
    return {spec.name: arrays[spec.name] for spec in specs}

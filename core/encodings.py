"""How an update travels up: float32, float16, int8 with a scale per tensor, or the top k of each tensor.

That is how the parameters travel. Statistics (see `Manifest.statistics`) are whole, in float32, whatever the encoding:
a variance whose change is rounded, cut off or owed may end below zero.

Lossy encodings are unbiased (int8 rounds stochastically) or carry what they dropped to the next round (top-k with error
feedback, Seide et al. 2014, Stich et al. 2018).

    float32   name: F32
    float16   name: F16
    int8      name: I8, name + ".scale": F32 of shape ()         value = int8 * scale
    top-k     name + ".indices": I32 ascending, name + ".values": F32      all other elements are 0

    >>> change = {"w": np.float32([0.5, -1.0, 0.25])}
    >>> stream = derive(b"secret", "round")
    >>> body, residual = encode(change, UpdateMetadata(3, "float16"), stream=stream)
    >>> decode(body, (TensorSpec("w", (3,)),), "float16")[0]["w"]
    array([ 0.5 , -1.  ,  0.25], dtype=float32)
"""

from collections.abc import Collection

import numpy as np

from fedrela.core import streams, tensors
from fedrela.core.errors import InvalidTensors
from fedrela.core.streams import Stream, derive
from fedrela.core.tensors import Array, Params, TensorSpec
from fedrela.core.wire import UpdateMetadata, read_update_metadata

__all__ = ["UpdateMetadata", "decode", "decode_again", "derive", "encode", "max_body_bytes"]

_HEADER_BYTES_PER_TENSOR = 512


def encode(
    change: Params,
    metadata: UpdateMetadata,
    *,
    stream: Stream,
    statistics: Collection[str] = (),
    residual: Params | None = None,
    top_k_fraction: float = 0.1,
) -> tuple[bytes, Params]:
    """The update body, and what the encoding dropped (top-k only, else empty), to be passed in as the next `residual`.

    `statistics`: the tensors that travel whole. `stream` feeds int8's stochastic rounding: one uniform per element of
    the others, in order. Raises InvalidTensors where a value is not finite or doesn't fit float16.
    """
    tensors.check_finite(change)
    whole = {name: array for name, array in change.items() if name in statistics}
    parameters = {name: array for name, array in change.items() if name not in statistics}
    dropped: Params = {}
    if metadata.encoding == "top-k":
        encoded, dropped = _top_k(tensors.add(parameters, residual) if residual else parameters, top_k_fraction)
    elif metadata.encoding == "int8":
        encoded = _int8(parameters, stream)
    elif metadata.encoding == "float16":
        with np.errstate(over="ignore"):
            encoded = {name: array.astype(np.float16) for name, array in parameters.items()}
        tensors.check_finite(encoded)
    else:
        encoded = dict(parameters)
    return tensors.to_bytes(encoded | whole, metadata.as_strings()), dropped


def decode(
    body: bytes, specs: tuple[TensorSpec, ...], encoding: str, statistics: Collection[str] = ()
) -> tuple[Params, UpdateMetadata]:
    """The change and its metadata. Raises InvalidTensors or InvalidMessage; every value of the result is finite."""
    arrays = tensors.read(body)
    metadata = read_update_metadata(tensors.read_metadata(body))
    if metadata.encoding != encoding:
        raise InvalidTensors(
            f"the update is encoded as {metadata.encoding}", remedy=f"send {encoding}, as the task says"
        )
    whole = tuple(spec for spec in specs if spec.name in statistics)
    change: Params = {spec.name: arrays.pop(spec.name) for spec in whole if spec.name in arrays}
    tensors.check(change, whole)
    change |= _parameters(arrays, tuple(spec for spec in specs if spec.name not in statistics), encoding)
    return {spec.name: change[spec.name] for spec in specs}, metadata


def _parameters(arrays: dict[str, Array], specs: tuple[TensorSpec, ...], encoding: str) -> Params:
    """The change of those tensors that are encoded."""
    if encoding in ("float32", "float16"):
        tensors.check(arrays, tuple(TensorSpec(spec.name, spec.shape, encoding) for spec in specs))
        # What is finite in half precision is so in single.
        return {spec.name: arrays[spec.name].astype(np.float32, copy=False) for spec in specs}
    change = _from_top_k(arrays, specs) if encoding == "top-k" else _from_int8(arrays, specs)
    tensors.check(change, specs)
    return change


def decode_again(body: bytes, specs: tuple[TensorSpec, ...], encoding: str, statistics: Collection[str] = ()) -> Params:
    """The change of a body that `decode` has accepted before; float32 is read in place, without a copy or a check.

    Version 0.1 accepted bodies whose statistics were encoded as the parameters are: those are read as well.
    """
    if encoding != "float32":
        try:
            return decode(body, specs, encoding, statistics)[0]
        except InvalidTensors:
            return decode(body, specs, encoding)[0]
    arrays = tensors.view(body)
    return {spec.name: arrays[spec.name] for spec in specs}


def max_body_bytes(specs: tuple[TensorSpec, ...]) -> int:
    """No honest update body is larger than this, whatever its encoding."""
    return 4096 + sum(8 * spec.size + 2 * len(spec.name) + 2 * _HEADER_BYTES_PER_TENSOR for spec in specs)


def _int8(change: Params, stream: Stream) -> dict[str, Array]:
    uniforms = streams.uniforms(stream, (sum(array.size for array in change.values()),))
    encoded: dict[str, Array] = {}
    start = 0
    for name, array in change.items():
        scale = np.float32(np.abs(array).max(initial=0) / 127)
        u = uniforms[start : start + array.size].reshape(array.shape)
        start += array.size
        steps = np.floor(array / scale + u) if scale > 0 else np.zeros_like(array)
        encoded[name] = np.clip(steps, -127, 127).astype(np.int8)
        encoded[name + ".scale"] = np.array(scale, np.float32)
    return encoded


def _from_int8(arrays: dict[str, Array], specs: tuple[TensorSpec, ...]) -> Params:
    steps = [TensorSpec(spec.name, spec.shape, "int8") for spec in specs]
    tensors.check(arrays, (*steps, *(TensorSpec(spec.name + ".scale", ()) for spec in specs)))
    return {spec.name: arrays[spec.name].astype(np.float32) * arrays[spec.name + ".scale"] for spec in specs}


def _top_k(change: Params, fraction: float) -> tuple[dict[str, Array], Params]:
    encoded: dict[str, Array] = {}
    dropped: Params = {}
    for name, array in change.items():
        flat = array.reshape(-1)
        keep = min(max(int(np.ceil(fraction * flat.size)), 1), flat.size)
        indices = np.sort(np.argsort(-np.abs(flat), kind="stable")[:keep]).astype(np.int32)
        rest = flat.copy()
        rest[indices] = 0
        encoded[name + ".indices"], encoded[name + ".values"] = indices, flat[indices]
        dropped[name] = rest.reshape(array.shape)
    return encoded, dropped


def _from_top_k(arrays: dict[str, Array], specs: tuple[TensorSpec, ...]) -> Params:
    change = tensors.zeros(specs)
    counts = {spec.name: arrays[key].size for spec in specs if (key := spec.name + ".indices") in arrays}
    sparse = [TensorSpec(f"{name}.indices", (count,), "int32") for name, count in counts.items()]
    sparse += [TensorSpec(f"{name}.values", (count,)) for name, count in counts.items()]
    missing = [TensorSpec(spec.name + ".indices", (1,), "int32") for spec in specs if spec.name not in counts]
    tensors.check(arrays, (*sparse, *missing))
    for spec in specs:
        indices = arrays[spec.name + ".indices"]
        ascending = bool((indices[1:] > indices[:-1]).all())  # differences of int32 could wrap
        if not ascending or (indices.size and (indices[0] < 0 or indices[-1] >= spec.size)):
            raise InvalidTensors(
                f"tensor {spec.name!r} has indices out of order or range", remedy="send them ascending, each once"
            )
        change[spec.name].reshape(-1)[indices] = arrays[spec.name + ".values"]
    return change

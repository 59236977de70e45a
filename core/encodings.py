"""How an update travels up: float32, float16, int8 with a scale per tensor, or the top k of each tensor.

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
    residual: Params | None = None,
    top_k_fraction: float = 0.1,
) -> tuple[bytes, Params]:
    """The update body, and what the encoding dropped (top-k only, else empty), to be passed in as the next `residual`.

    `stream` feeds int8's stochastic rounding: one uniform per element, tensors in order. Raises InvalidTensors where a
    value is not finite or doesn't fit float16.
    """
    tensors.check_finite(change)
    if metadata.encoding == "top-k":
        encoded, dropped = _top_k(tensors.add(change, residual) if residual else change, top_k_fraction)
        return tensors.to_bytes(encoded, metadata.as_strings()), dropped
    if metadata.encoding == "int8":
        encoded = _int8(change, stream)
    elif metadata.encoding == "float16":
        with np.errstate(over="ignore"):
            encoded = {name: array.astype(np.float16) for name, array in change.items()}
        tensors.check_finite(encoded)
    else:
        encoded = dict(change)
    return tensors.to_bytes(encoded, metadata.as_strings()), {}


def decode(body: bytes, specs: tuple[TensorSpec, ...], encoding: str) -> tuple[Params, UpdateMetadata]:
    """The change and its metadata. Raises InvalidTensors or InvalidMessage; every value of the result is finite."""
    arrays = tensors.read(body)
    metadata = read_update_metadata(tensors.read_metadata(body))
    if metadata.encoding != encoding:
        raise InvalidTensors(
            f"the update is encoded as {metadata.encoding}", remedy=f"send {encoding}, as the task says"
        )
    if encoding == "top-k":
        change = _from_top_k(arrays, specs)
    elif encoding == "int8":
        change = _from_int8(arrays, specs)
    else:
        tensors.check(arrays, tuple(TensorSpec(spec.name, spec.shape, encoding) for spec in specs))
        change = {spec.name: arrays[spec.name].astype(np.float32, copy=False) for spec in specs}
        return change, metadata  # what is finite in half precision is so in single
    tensors.check(change, specs)
    return change, metadata


def decode_again(body: bytes, specs: tuple[TensorSpec, ...], encoding: str) -> Params:
    """The change of a body that `decode` has accepted before; float32 is read in place, without a copy or a check."""
    if encoding != "float32":
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

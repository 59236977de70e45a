"""Turns inputs of an ONNX program into constants inside it, without the onnx package.

Weights that change once a round may as well be constants of the session that predicts with them: a runtime then folds
batch normalisation into convolutions and lays weights out once, ahead. A model file is one protobuf message, of which
only the top two levels need reading: ModelProto.graph (field 7), and in it GraphProto.initializer (5), .input (11) and
the name (1) of each input. May import numpy and `core.errors`.

    >>> with_constants(b"", {"weight": np.zeros(3, np.float32)})
    Traceback (most recent call last):
    ...
    core.errors.InvalidBundle: the program has no graph; export the model again
"""

from collections.abc import Iterator, Mapping

import numpy as np

from core.errors import InvalidBundle
from core.tensors import Array

_GRAPH, _INITIALIZER, _INPUT, _NAME = 7, 5, 11, 1  # field numbers of onnx.proto
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9
_DATA_TYPES = {"float32": 1, "int64": 7}  # TensorProto.DataType
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5  # wire types


def with_constants(program: bytes, constants: Mapping[str, Array]) -> bytes:
    """`program` with each input named in `constants` replaced by that array. Other inputs keep their order.

    Raises InvalidBundle if the bytes aren't an ONNX model or lack one of the inputs.
    """
    model = list(_fields(program))
    graphs = [body for number, _, body in model if number == _GRAPH]
    if len(graphs) != 1:
        raise InvalidBundle("the program has no graph", remedy="export the model again")
    rest = b"".join(raw for number, raw, _ in model if number != _GRAPH)
    return rest + _delimited(_GRAPH, _bound(graphs[0], constants))


def _bound(graph: bytes, constants: Mapping[str, Array]) -> bytes:
    """The graph's bytes without the named inputs and with an initializer for each."""
    kept, missing = [], dict(constants)
    for number, raw, body in _fields(graph):
        if number == _INPUT:
            name = next((part.decode(errors="replace") for field, _, part in _fields(body) if field == _NAME), "")
            if missing.pop(name, None) is not None:
                continue
        kept.append(raw)
    if missing:
        raise InvalidBundle(f"the program has no input {next(iter(missing))!r}", remedy="export the model again")
    added = (_delimited(_INITIALIZER, _tensor(name, array)) for name, array in constants.items())
    return b"".join([*kept, *added])


def _tensor(name: str, array: Array) -> bytes:
    """A TensorProto."""
    if array.dtype.name not in _DATA_TYPES:
        raise InvalidBundle(f"{name} is {array.dtype.name}", remedy=f"use one of {', '.join(_DATA_TYPES)}")
    dims = b"".join(_key(_DIMS, _VARINT) + _varint(size) for size in array.shape)
    kind = _key(_DATA_TYPE, _VARINT) + _varint(_DATA_TYPES[array.dtype.name])
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return dims + kind + _delimited(_TENSOR_NAME, name.encode()) + _delimited(_RAW_DATA, data)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Every field of a protobuf message: its number, all its bytes, and the content if it is length-delimited."""
    at = 0
    while at < len(message):
        start = at
        key, at = _read_varint(message, at)
        number, wire = key >> 3, key & 7
        content = b""
        if wire == _VARINT:
            _, at = _read_varint(message, at)
        elif wire == _DELIMITED:
            length, at = _read_varint(message, at)
            content = message[at : at + length]
            at += length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise InvalidBundle("the program is not an ONNX file", remedy="export the model again")
        if at > len(message):
            raise InvalidBundle("the program's file is cut short", remedy="download it again")
        yield number, message[start:at], content


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise InvalidBundle("the program's file is cut short", remedy="download it again")


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _key(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _delimited(number: int, content: bytes) -> bytes:
    return _key(number, _DELIMITED) + _varint(len(content)) + content

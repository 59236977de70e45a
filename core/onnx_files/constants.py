"""Turns inputs of an ONNX program into constants inside it, without the onnx package.

Weights that change once a round may as well be constants of the session that predicts with them: a runtime then folds
batch normalization into convolutions and lays weights out once, ahead. A model file is one protobuf message, of which
only the top two levels need reading: ModelProto.graph (field 7), and in it GraphProto.initializer (5), .input (11) and
the name (1) of each input.

    >>> with_constants(b"", {"weight": np.zeros(3, np.float32)})
    Traceback (most recent call last):
    ...
    fedrela.core.errors.InvalidBundle: the program has no graph; export the model again
"""

from collections.abc import Mapping

import numpy as np

from fedrela.core.errors import InvalidBundle
from fedrela.core.onnx_files.fields import DELIMITED, VARINT, fields
from fedrela.core.tensors import Array

_GRAPH, _INITIALIZER, _INPUT, _NAME = 7, 5, 11, 1  # field numbers of onnx.proto
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9
_DATA_TYPES = {"float32": 1, "int64": 7}  # TensorProto.DataType


def with_constants(program: bytes, constants: Mapping[str, Array]) -> bytes:
    """`program` with each input named in `constants` replaced by that array. Other inputs keep their order.

    Raises InvalidBundle if the bytes aren't an ONNX model or lack one of the inputs.
    """
    model = list(fields(program))
    graphs = [body for number, _, body in model if number == _GRAPH]
    if len(graphs) != 1:
        raise InvalidBundle("the program has no graph", remedy="export the model again")
    rest = b"".join(raw for number, raw, _ in model if number != _GRAPH)
    return rest + _delimited(_GRAPH, _bound(graphs[0], constants))


def _bound(graph: memoryview, constants: Mapping[str, Array]) -> bytes:
    """The graph's bytes without the named inputs and with an initializer for each."""
    remaining, missing = [], dict(constants)
    for number, raw, body in fields(graph):
        if number == _INPUT:
            name = next((str(part, errors="replace") for field, _, part in fields(body) if field == _NAME), "")
            if missing.pop(name, None) is not None:
                continue
        remaining.append(raw)
    if missing:
        raise InvalidBundle(f"the program has no input {next(iter(missing))!r}", remedy="export the model again")
    added = (_delimited(_INITIALIZER, _tensor(name, array)) for name, array in constants.items())
    return b"".join([*remaining, *added])


def _tensor(name: str, array: Array) -> bytes:
    """A TensorProto."""
    if array.dtype.name not in _DATA_TYPES:
        raise InvalidBundle(f"{name} is {array.dtype.name}", remedy=f"use one of {', '.join(_DATA_TYPES)}")
    dims = b"".join(_key(_DIMS, VARINT) + _varint(size) for size in array.shape)
    kind = _key(_DATA_TYPE, VARINT) + _varint(_DATA_TYPES[array.dtype.name])
    data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return dims + kind + _delimited(_TENSOR_NAME, name.encode()) + _delimited(_RAW_DATA, data)


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
    return _key(number, DELIMITED) + _varint(len(content)) + content

"""Vectors for safetensors: good files, malformed files, and files that don't fit a specification.

Every file is given as base64, so that one JSON document holds all of them.

    >>> sorted(build())
    ['good', 'malformed', 'unfit']
"""

import base64
import json
import struct
from typing import Any

import numpy as np

from fedrela.core import tensors
from fedrela.core.tensors import Array

SPECS = [{"name": "w", "shape": [2, 2], "dtype": "float32"}, {"name": "b", "shape": [3], "dtype": "float32"}]
FITTING: dict[str, Array] = {"w": np.array([[1, 2], [3, 4]], np.float32), "b": np.array([0.5, -0.5, 0], np.float32)}


def build() -> dict[str, Any]:
    """The document safetensors.json."""
    return {
        "good": [_good(name, body) for name, body in good().items()],
        "malformed": [{"name": name, "base64": _base64(body)} for name, body in malformed().items()],
        "unfit": {
            "specs": SPECS,
            "files": [{"name": name, "base64": _base64(body)} for name, body in unfit().items()],
            "fitting": _base64(tensors.to_bytes(FITTING)),
        },
    }


def good() -> dict[str, bytes]:
    """Files that must be read, each value exactly."""
    every: dict[str, Array] = {
        "f32": np.array([[1.5, -2.25], [0, 3.0e38]], np.float32),
        "f16": np.array([1.0, -0.333251953125, 65504], np.float16),
        "i8": np.array([-127, 0, 127], np.int8),
        "u8": np.array([[0, 255]], np.uint8),
        "i32": np.array([-2147483648, 2147483647], np.int32),
        "i64": np.array([-9007199254740991, 9007199254740991], np.int64),
        "bool": np.array([True, False]),
    }
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    padded = json.dumps({"w": entry}).encode() + b"   "
    return {
        "every dtype": tensors.to_bytes(every),
        "scalar, empty and metadata": tensors.to_bytes(
            {"scalar": np.array(7, np.float32), "empty": np.zeros((0, 3), np.float32)},
            {"protocol": "1", "note": "größe"},
        ),
        "no tensor": tensors.to_bytes({}),
        "header padded with spaces": _raw(padded, np.array([2], np.float32).tobytes()),
        "unicode name": tensors.to_bytes({'größe."quoted"\\': np.array([1], np.float32)}),
    }


def malformed() -> dict[str, bytes]:
    """Files that every reader must refuse."""
    whole = tensors.to_bytes(FITTING)
    four = np.array([1], np.float32).tobytes()
    eight = four + four

    def header(data: bytes, **entries: Any) -> bytes:
        return _raw(json.dumps(entries).encode(), data)

    def entry(start: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
        return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}

    return {
        "empty": b"",
        "seven bytes": whole[:7],
        "header longer than the file": struct.pack("<Q", len(whole)) + whole[8:],
        "header length 2^63": struct.pack("<Q", 2**63) + whole[8:],
        "header cut": whole[:40],
        "data cut": whole[:-1],
        "one byte too many": whole + b"\0",
        "header is not JSON": _raw(b"{not json", b""),
        "header is a list": _raw(b"[]", b""),
        "header is not UTF-8": _raw(b'{"\xff": 1}', b""),
        "hole between tensors": header(four + eight, a=entry(0, 4, [1]), b=entry(8, 12, [1])),
        "overlapping tensors": header(eight, a=entry(0, 8, [2]), b=entry(4, 8, [1])),
        "first tensor starts late": header(eight, a=entry(4, 8, [1])),
        "end before start": header(four, a=entry(4, 0, [1])),
        "shape larger than the data": header(four, a=entry(0, 4, [2])),
        "shape overflows": header(four, a=entry(0, 4, [2**62, 2**62])),
        "negative dimension": header(four, a=entry(0, 4, [-1])),
        "fractional dimension": header(four, a=entry(0, 4, [1.5])),
        "unknown dtype": header(four, a=entry(0, 4, [1], "F7")),
        "a dtype that never travels": header(eight, a=entry(0, 8, [1], "F64")),
        "no shape": header(four, a={"dtype": "F32", "data_offsets": [0, 4]}),
        "three offsets": header(four, a={"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}),
        "negative zero": _raw(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-0,4]}}', four),
        "a name twice": _raw(
            b"{" + b",".join([b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'] * 2) + b"}", four
        ),
        "described by a list": _raw(b'{"a":["F32",[1],[0,4]]}', four),
        "dtype is an object": header(four, a={"dtype": {"F32": None}, "shape": [1], "data_offsets": [0, 4]}),
        "a member too many": header(four, a={**entry(0, 4, [1]), "later": 1}),
        "17 dimensions": header(four, a=entry(0, 4, [1] * 17)),
        "too large, without an element": header(b"", a=entry(0, 0, [2**31 - 1, 2**31 - 1, 0])),
        "metadata is not text": header(four, __metadata__={"protocol": 1}, a=entry(0, 4, [1])),
    }


def unfit() -> dict[str, bytes]:
    """Well-formed files that don't fit `SPECS`."""
    changed: dict[str, dict[str, Array]] = {
        "a tensor is missing": {"w": FITTING["w"]},
        "a tensor too many": {**FITTING, "surplus": np.array([1], np.float32)},
        "another name": {"w": FITTING["w"], "B": FITTING["b"]},
        "another shape, same size": {**FITTING, "w": FITTING["w"].reshape(4)},
        "another size": {**FITTING, "b": np.array([1, 2], np.float32)},
        "another dtype": {**FITTING, "b": np.array([1, 2, 3], np.float16)},
        "not a number": {**FITTING, "b": np.array([np.nan, 0, 0], np.float32)},
        "infinite": {**FITTING, "w": np.array([[1, 2], [3, -np.inf]], np.float32)},
    }
    return {name: tensors.to_bytes(value) for name, value in changed.items()}


def _good(name: str, body: bytes) -> dict[str, Any]:
    arrays = {
        key: {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.reshape(-1).tolist()}
        for key, array in sorted(tensors.read(body).items())
    }
    return {"name": name, "base64": _base64(body), "tensors": arrays, "metadata": tensors.read_metadata(body)}


def _raw(header: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode()

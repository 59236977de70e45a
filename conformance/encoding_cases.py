"""Vectors for the four encodings of an update.

>>> [case["encoding"] for case in build()["encode"]][:4]
['float32', 'float16', 'int8', 'top-k']
"""

import base64
from typing import Any, get_args

import numpy as np

from fedrela.core import encodings, streams, tensors
from fedrela.core.tensors import Params
from fedrela.core.wire import Encoding, UpdateMetadata

ENCODINGS: tuple[Encoding, ...] = ("float32", "float16", "int8", "top-k")
STATISTICS = frozenset({"running.variance"})  # they travel whole


def change() -> Params:
    """A change of five tensors: mixed sizes, a tensor of zeros, a scalar, equal magnitudes, a statistic."""
    u = streams.uniforms(streams.derive(b"encodings", "change"), (4, 5))
    return {
        "layer.w": (u * np.float32(0.2) - np.float32(0.1)).astype(np.float32),
        "layer.b": np.array([0.25, -0.25, 0.25, 0, -0.125], np.float32),
        "running.variance": np.array([-1.0003, 70000.0, 0.0625], np.float32),  # beyond float16, too
        "zero": np.zeros(3, np.float32),
        "scalar": np.array(-3.5, np.float32),
    }


def build() -> dict[str, Any]:
    """The document encodings.json."""
    assert get_args(Encoding) == ENCODINGS
    stream = streams.derive(b"encodings", "stream")
    specs = [{"name": name, "shape": list(array.shape)} for name, array in change().items()]  # in manifest order
    cases = []
    for examples in (7, 999_999_999):
        for name in ENCODINGS:
            cases.append(_case(change(), UpdateMetadata(examples, name), stream, None))
    first = _case(change(), UpdateMetadata(7, "top-k"), stream, None)
    residual = tensors.read(base64.b64decode(first["residual"]))
    cases.append(_case(change(), UpdateMetadata(7, "top-k"), stream, residual))
    return {
        "stream": {"secret": b"encodings".hex(), "labels": ["stream"]},
        "specs": specs,
        "statistics": sorted(STATISTICS),
        "top_k_fraction": 0.3,
        "encode": cases,
    }


def _case(update: Params, metadata: UpdateMetadata, stream: streams.Stream, residual: Params | None) -> dict[str, Any]:
    body, dropped = encodings.encode(
        update, metadata, stream=stream, statistics=STATISTICS, residual=residual, top_k_fraction=0.3
    )
    return {
        "encoding": metadata.encoding,
        "examples": metadata.examples,
        "change": _base64(tensors.to_bytes(update)),
        "residual_before": _base64(tensors.to_bytes(residual)) if residual else "",
        "body": _base64(body),
        "residual": _base64(tensors.to_bytes(dropped)) if dropped else "",
    }


def _base64(body: bytes) -> str:
    return base64.b64encode(body).decode()

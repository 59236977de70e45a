"""What the owner is shown of an update, whatever its encoding."""

import json

import numpy as np
import pytest

from fedrela.core import encodings, streams
from fedrela.core.tensors import Params
from fedrela.core.wire import Encoding, UpdateMetadata
from fedrela.edge.owner.disclosure import describe, render
from fedrela.edge.storage.store import MemoryStore

CHANGE: Params = {"w": np.linspace(-2.0, 1.0, 12, dtype=np.float32).reshape(3, 4), "none": np.empty((0, 4), np.float32)}


def sent(encoding: Encoding, change: Params) -> MemoryStore:
    """The store of a device that has sent this change of its weights."""
    stream = streams.derive(b"secret", "encode")
    body, _ = encodings.encode(change, UpdateMetadata(5, encoding), stream=stream, top_k_fraction=0.25)
    store = MemoryStore()
    store.put("last/update", body)
    return store


@pytest.mark.parametrize("encoding", ["float32", "float16", "int8", "top-k"])
def test_every_encoding_is_shown(encoding: Encoding) -> None:
    store = sent(encoding, CHANGE)
    update = describe(store, values=True)["messages"]["update"]
    json.dumps(update, allow_nan=False)
    for tensor in update["tensors"]:
        values = tensor["values"]
        assert (tensor["least"], tensor["most"]) == ((min(values), max(values)) if values else (None, None))
    shown = render(describe(store))
    assert all(tensor["name"] in shown for tensor in update["tensors"])
    assert f"'encoding': '{encoding}'" in shown


def test_integers_are_shown_as_they_were_sent() -> None:
    tensors = describe(sent("top-k", CHANGE))["messages"]["update"]["tensors"]
    assert {tensor["dtype"] for tensor in tensors if tensor["dtype"].startswith(("int", "uint"))}

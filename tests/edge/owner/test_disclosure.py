"""What the owner is shown of an update, whatever its encoding."""

import json

import numpy as np
import pytest

from fedrela.core import encodings, streams
from fedrela.core.tensors import Params
from fedrela.core.wire import Encoding, UpdateMetadata
from fedrela.edge.owner.disclosure import describe, render
from fedrela.edge.storage.sent_log import SentLog
from fedrela.edge.storage.store import MemoryStore

CHANGE: Params = {"w": np.linspace(-2.0, 1.0, 12, dtype=np.float32).reshape(3, 4), "none": np.empty((0, 4), np.float32)}


def sent(encoding: Encoding, change: Params) -> MemoryStore:
    """The store of a device that has sent this change of its weights."""
    stream = streams.derive(b"secret", "encode")
    body, _ = encodings.encode(change, UpdateMetadata(5, encoding), stream=stream, top_k_fraction=0.25)
    store = MemoryStore()
    store.put("last/update", body)
    return store


def test_a_question_whose_path_ends_like_a_message_s_is_none() -> None:
    store = MemoryStore()
    log = SentLog(store)
    log.add(1.0, "GET", "/v1/keys", b"")  # the coordinator's; a group's are sent
    assert describe(store)["messages"] == {}
    store.put("last/keys", b"")  # as 0.2.0 kept it
    shown = describe(store)
    assert shown["messages"] == {}
    assert "/v1/keys" in render(shown)
    log.add(2.0, "PUT", "/v1/assignments/a/secure/keys", b'{"a": 1}')
    assert describe(store)["messages"] == {"keys": {"a": 1}}


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


@pytest.mark.parametrize(("requests", "first"), [
    (20, "20 requests were sent or tried"),
    (49, "49 requests were sent or tried: the last 20 of 49 (all of them: --json)"),
])  # fmt: skip
def test_a_list_that_is_cut_says_so(requests: int, first: str) -> None:
    store = MemoryStore()
    log = SentLog(store)
    for number in range(requests):
        log.add(1e9 + number, "GET", f"/v1/blobs/{number:02}", b"")
    lines = render(describe(store)).splitlines()
    assert lines[0] == first
    assert [line.split()[3][-2:] for line in lines[1:21]] == [f"{number:02}" for number in range(requests)][-20:]
    assert len(describe(store)["requests"]) == requests


def test_what_is_said_to_be_never_sent_fits_what_is_shown() -> None:
    """A plain update has the number of its examples right above."""
    shown = render(describe(sent("float32", CHANGE)))
    assert "'examples': '5'" in shown
    (never,) = (line for line in shown.splitlines() if line.startswith("never sent: "))
    assert never == "never sent: a label, a count of a class or of re-labels, a file's name, a sample"
    assert "sent in a plain task: the number of all examples" in shown


def test_the_enrollment_is_shown_without_the_links_secret() -> None:
    store = MemoryStore()
    body = b'{"enrollment_token":"k3p-secret","public_key":"aa","coordinator":"bb","signature":"cc","protocol":1}'
    SentLog(store).add(1.0, "POST", "/v1/devices", body)
    shown = render(describe(store))
    assert "/v1/devices  100 bytes" in shown
    assert "enrollment: this device's public key" in shown
    assert "public_key         aa" in shown
    assert "enrollment_token   (the link's secret, not kept)" in shown
    kept = store.keys()
    assert b"k3p-secret" not in b"".join(store.get(key) or b"" for key in kept)

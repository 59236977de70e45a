"""What a device remembers: it comes back as it went in, and what is damaged counts as not there."""

from dataclasses import replace

import numpy as np
import pytest

from fedrela.core import signing, tensors
from fedrela.core.errors import InvalidInput
from fedrela.core.tensors import TensorSpec
from fedrela.core.wire import Assignment
from fedrela.edge.storage import sent_log, state
from fedrela.edge.storage.sent_log import SentLog
from fedrela.edge.storage.state import HeldAssignment, Identity, Snapshot
from fedrela.edge.storage.store import MemoryStore
from fedrela.edge.training.examples import Overlay

ASSIGNMENT = Assignment("a1", "t1", 2, "1" * 64, "2" * 64, "3" * 64, 40, 100.0, 30.0, "token")
SPECS = (TensorSpec("w", (2,), "float32"),)


def test_the_leases_follow_each_other() -> None:
    held = HeldAssignment(ASSIGNMENT, received_at=1000.0)
    assert (held.train_until(), held.upload_until()) == (1100.0, 1130.0)


def test_no_lease_holds_a_device_for_longer_than_a_week() -> None:
    ages = replace(ASSIGNMENT, compute_lease_seconds=1e9, upload_lease_seconds=1e9)
    held = HeldAssignment(ages, received_at=1000.0)
    assert held.train_until() == 1000.0 + 7 * 86_400
    assert held.upload_until() == 1000.0 + 14 * 86_400


def test_identity_and_assignment_come_back_and_are_none_at_first() -> None:
    store = MemoryStore()
    assert (state.load_identity(store), state.load_assignment(store), state.load_status(store)) == (None, None, {})
    identity = Identity("http://c", "d", "token", "key", "p", "own", "00" * 32)
    held = HeldAssignment(ASSIGNMENT, 12.5, "fingerprint")
    state.save_identity(store, identity)
    state.save_assignment(store, held)
    state.save_status(store, state="waiting", round=2)
    assert state.load_identity(store) == identity
    assert state.load_assignment(store) == held
    assert state.load_status(store) == {"state": "waiting", "round": 2}


def test_a_damaged_identity_is_an_error_but_a_damaged_assignment_is_forgotten() -> None:
    store = MemoryStore()
    for key in ("identity.json", *state.ASSIGNMENT_KEYS):
        store.put(key, b"{torn")
    with pytest.raises(InvalidInput):
        state.load_identity(store)
    assert state.load_assignment(store) is None
    assert store.keys() == ["identity.json"]


def test_what_version_0_1_kept_goes_on_under_its_name_of_today() -> None:
    store = MemoryStore()
    held = HeldAssignment(ASSIGNMENT, 12.5, "fingerprint")
    state.save_assignment(store, held)
    store.put("turn/assignment.json", store.get("assignment/assignment.json") or b"")
    store.put("turn/snapshot", b"steps")
    store.delete("assignment/assignment.json")
    for _ in range(2):
        state.rename_former_keys(store)
        assert state.load_assignment(store) == held
        assert store.keys() == ["assignment/assignment.json", "assignment/snapshot"]


@pytest.mark.parametrize("body", [b"{torn", b"[1]", b"3", b"null"])
def test_a_status_that_is_no_object_counts_as_none(body: bytes) -> None:
    store = MemoryStore()
    store.put("status.json", body)
    assert state.load_status(store) == {}


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1e-17, 12345.678901234567])
def test_a_snapshot_comes_back_bit_for_bit(seconds: float) -> None:
    store = MemoryStore()
    weights = np.array([np.float32(0.1), -0.0], np.float32)
    state.save_snapshot(store, Snapshot(7, seconds, {"w": weights}))
    loaded = state.load_snapshot(store, SPECS)
    assert loaded is not None
    assert (loaded.steps, loaded.seconds, loaded.tensors["w"].tobytes()) == (7, seconds, weights.tobytes())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not tensors",
        tensors.to_bytes({"w": np.zeros(3, np.float32)}, {"steps": "1", "seconds": "1"}),  # another shape
        tensors.to_bytes({"v": np.zeros(2, np.float32)}, {"steps": "1", "seconds": "1"}),  # another name
        tensors.to_bytes({"w": np.zeros(2, np.float32)}, {"steps": "1"}),
        tensors.to_bytes({"w": np.zeros(2, np.float32)}, {"steps": "one", "seconds": "1"}),
    ],
)
def test_a_snapshot_that_does_not_fit_is_deleted(body: bytes) -> None:
    store = MemoryStore()
    store.put("assignment/snapshot", body)
    assert state.load_snapshot(store, SPECS) is None
    assert store.keys() == []


def test_overlays_are_kept_by_task_whatever_its_id_holds() -> None:
    store = MemoryStore()
    overlay = Overlay(2, np.array([2**64 - 1, 5], np.uint64), np.array([0, 3]))
    state.save_overlay(store, "../../etc/ÄÖ", overlay)
    loaded = state.load_overlay(store, "../../etc/ÄÖ")
    assert loaded is not None
    assert (loaded.generation, loaded.keys.tolist(), loaded.relabeled.tolist()) == (2, [2**64 - 1, 5], [0, 3])
    assert state.load_overlay(store, "another") is None
    assert set(state.task_key("../../etc/ÄÖ")) <= set("0123456789abcdef")
    store.put(f"overlays/{state.task_key('another')}", b"damaged")
    assert state.load_overlay(store, "another") is None


def test_a_residual_is_owed_only_once_its_update_was_accepted() -> None:
    store = MemoryStore()
    state.commit_residual(store, "t")  # nothing was dropped
    assert state.load_residual(store, "t", SPECS) is None
    store.put("assignment/residual", tensors.to_bytes({"w": np.array([1, 2], np.float32)}))
    assert state.load_residual(store, "t", SPECS) is None
    for _ in range(2):
        state.commit_residual(store, "t")
    state.clear_assignment(store)
    residual = state.load_residual(store, "t", SPECS)
    assert residual is not None
    assert residual["w"].tolist() == [1, 2]


def test_what_version_0_1_owed_of_statistics_is_left_out() -> None:
    store = MemoryStore()
    owed = {"w": np.array([1, 2], np.float32), "running.variance": np.ones(3, np.float32)}
    store.put("assignment/residual", tensors.to_bytes(owed))
    state.commit_residual(store, "t")
    residual = state.load_residual(store, "t", SPECS)
    assert residual is not None
    assert {name: array.tolist() for name, array in residual.items()} == {"w": [1, 2]}
    assert state.load_residual(store, "t", (TensorSpec("w", (3,), "float32"),)) is None


def test_a_blob_that_changed_on_the_disk_is_dropped() -> None:
    store = MemoryStore()
    good = signing.sha256(b"body")
    store.put("blobs/a", b"body")
    assert state.cached(store, "blobs/a", good) == b"body"
    store.put("blobs/a", b"bodY")
    assert state.cached(store, "blobs/a", good) is None
    assert store.keys() == []
    assert state.cached(store, "blobs/a", good) is None


def test_only_the_present_checkpoint_is_kept() -> None:
    store = MemoryStore()
    store.put("blobs/aa", b"program")
    for name in ("aa", "bb", "bb"):
        state.keep_checkpoint(store, name, name.encode())
    assert store.keys() == ["blobs/aa", "checkpoint/bb"]
    assert store.get("checkpoint/bb") == b"bb"


@pytest.mark.parametrize("keep", [True, False])
def test_the_log_has_every_request_and_the_newest_known_bodies(keep: bool) -> None:
    store = MemoryStore()
    log = SentLog(store, keep_bodies=keep)
    log.add(1.0, "POST", "/v1/check-ins", b"first")
    log.add(2.0, "POST", "/v1/check-ins", b"second")
    log.add(3.0, "GET", "/v1/blobs/" + "0" * 64, b"")
    store.append(sent_log.LOG_KEY, b'{"at": 4.0, "meth')  # the power went here
    assert [(line["at"], line["bytes"]) for line in log.lines()] == [(1.0, 5), (2.0, 6), (3.0, 0)]
    assert log.lines()[1]["sha256"] == signing.sha256(b"second")
    assert store.keys("last/") == (["last/check-ins"] if keep else [])
    assert store.get("last/check-ins") == (b"second" if keep else None)


def test_a_long_log_keeps_its_newer_half_in_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    written = [b'{"at": %2d}\n' % number for number in range(11)]
    assert {len(one) for one in written} == {11}
    monkeypatch.setattr(sent_log, "LOG_BYTES", 110)
    store = MemoryStore()
    store.put(sent_log.LOG_KEY, b"".join(written[:10]))
    assert len(SentLog(store).lines()) == 10  # exactly as long as it may be
    store.append(sent_log.LOG_KEY, written[10])
    # Of the last 55 bytes, five lines to the byte, the first may be torn as far as the log can tell: four are left.
    assert [line["at"] for line in SentLog(store).lines()] == [7, 8, 9, 10]

"""What a coordinator refuses: each line gives a problem document with a code and a remedy, and changes nothing."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fedrela.conformance.files import PUBLISHER_KEY
from fedrela.core import strict, tensors
from fedrela.core.protocol import seals, signed_requests
from fedrela.core.task import Relabel, Rounds, Task
from fedrela.core.wire import PROBLEM_TYPE, UpdateMetadata
from tests.coordinator import fleet
from tests.coordinator.conftest import House

OF_NOTHING = seals.seal(PUBLISHER_KEY, manifest_sha256="0" * 64, weights_sha256="0" * 64)
GOOD = fleet.change(1.0)
METADATA = UpdateMetadata(10).as_strings()


def with_array(name: str, array: np.ndarray) -> bytes:
    """An update with one tensor replaced or added."""
    return tensors.to_bytes(GOOD | {name: array}, METADATA)


def truncated() -> bytes:
    return fleet.body(GOOD)[:-3]


def overlong() -> bytes:
    return fleet.body(GOOD) + b"\0" * 8


def described(shape: list[int], size: int) -> bytes:
    """A file with one tensor of that shape and so many bytes."""
    entry = {"dtype": "F32", "shape": shape, "data_offsets": [0, size]}
    header = json.dumps({"__metadata__": METADATA, "w": entry}).encode()
    return len(header).to_bytes(8, "little") + header + bytes(size)


BODIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "wrong name": (lambda: tensors.to_bytes({"w": GOOD["w"], "c": GOOD["b"]}, METADATA), "names differ"),
    "missing tensor": (lambda: tensors.to_bytes({"w": GOOD["w"]}, METADATA), "names differ"),
    "surplus tensor": (lambda: with_array("labels", np.zeros(3, np.float32)), "names differ"),
    "wrong shape": (lambda: with_array("w", np.zeros((2, 3), np.float32)), "shape"),
    "wrong dtype": (lambda: with_array("w", np.zeros((3, 2), np.float16)), "float16"),
    "NaN": (lambda: with_array("b", np.array([1, np.nan], np.float32)), "not finite"),
    "infinity": (lambda: with_array("b", np.array([1, np.inf], np.float32)), "not finite"),
    "truncated": (truncated, "safetensors"),
    "overlong": (overlong, "safetensors"),
    "empty": (lambda: b"", "cut short"),
    "not tensors at all": (lambda: b"PK\x03\x04" + b"\0" * 100, "cut short"),
    "no metadata": (lambda: tensors.to_bytes(GOOD), "metadata"),
    "surplus metadata": (lambda: tensors.to_bytes(GOOD, METADATA | {"labels": "3"}), "metadata"),
    "no examples": (lambda: tensors.to_bytes(GOOD, METADATA | {"examples": "0"}), "no examples"),
    "negative examples": (lambda: tensors.to_bytes(GOOD, METADATA | {"examples": "-1"}), "examples"),
    "absurd examples": (lambda: tensors.to_bytes(GOOD, METADATA | {"examples": "9" * 40}), "examples"),
    "another protocol": (lambda: tensors.to_bytes(GOOD, METADATA | {"protocol": "2"}), "protocol"),
    "a hundred dimensions": (lambda: described([1] * 100, 4), "too large"),
    "a shape beyond every number": (lambda: described([0, 2**63], 0), "the JSON holds"),
    "header says 2^60 bytes": (lambda: (1 << 60).to_bytes(8, "little") + b"{}", "cut short"),
}


def check_problem(answer: Any, status: int, code: str) -> dict[str, Any]:
    """The answer is a problem document of this status and code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM_TYPE
    problem = dict(answer.json())
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"]
    assert problem["remedy"]
    return problem


def stored(house: House) -> list[str]:
    """Names of the private blobs."""
    return [blob.name for blob in house.coordinator.blobs.listing() if blob.name.startswith("private/")]


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_update_is_refused_and_nothing_is_stored_or_lost(house: House, name: str) -> None:
    task_id = house.publish(1, goal=2)
    one, two = house.devices(2)
    assignment = one.join()
    make, word = BODIES[name]
    answer = one.upload(assignment, make())
    code = answer.json()["code"]
    assert code in ("invalid-tensors", "invalid-message")
    assert word in check_problem(answer, 400, code)["detail"]
    assert stored(house) == []
    assert house.operator.task(task_id)["reported"] == 0
    assert one.upload(assignment, fleet.body(GOOD)).status_code == 200  # the assignment was not lost
    assert two.upload(two.join(), fleet.body(GOOD)).status_code == 200


def test_an_oversized_update_is_refused_before_it_is_read(house: House) -> None:
    house.publish(1, goal=1)
    (device,) = house.devices(1)
    assignment = device.join()

    def endless():
        pytest.fail("the body was read")
        yield b""

    path = f"/v1/assignments/{assignment['assignment_id']}/update"
    headers = {
        "Authorization": f"Bearer {device.token}",
        "Fedrela-Upload-Token": assignment["upload_token"],
        "Content-Length": str(10**12),
        **signed_requests.headers(device.private_key, "PUT", path, b"whose digest nobody gets to check"),
    }
    answer = house.http.put(path, content=endless(), headers=headers)
    assert "at most" in check_problem(answer, 413, "too-large")["detail"]


def test_an_update_without_a_length_is_refused(house: House) -> None:
    house.publish(1, goal=1)
    (device,) = house.devices(1)
    answer = device.upload(device.join(), iter([fleet.body(GOOD)]))  # type: ignore[arg-type]
    check_problem(answer, 411, "length-required")


def test_a_second_update_for_the_same_assignment_counts_once_and_another_body_is_refused(house: House) -> None:
    task_id = house.publish(1, goal=2)
    device, _ = house.devices(2)
    assignment = device.join()
    assert device.upload(assignment, fleet.body(GOOD)).json()["duplicate"] is False
    assert device.upload(assignment, fleet.body(GOOD)).json()["duplicate"] is True
    check_problem(device.upload(assignment, fleet.body(fleet.change(2.0))), 409, "already-reported")
    check_problem(device.fail(assignment), 409, "already-reported")
    assert house.operator.task(task_id)["reported"] == 1
    assert len(stored(house)) == 1


def test_a_repeated_update_is_acknowledged_even_after_the_round_was_committed(house: House) -> None:
    house.publish(2, goal=1)
    (device,) = house.devices(1)
    assignment = device.join()
    assert device.upload(assignment, fleet.body(GOOD)).json() == {"duplicate": False, "protocol": 1, "round": 1}
    assert device.upload(assignment, fleet.body(GOOD)).json() == {"duplicate": True, "protocol": 1, "round": 1}


OFFER = b'"client":"python 1","runtimes":[],"nonce":"' + fleet.NONCE.encode() + b'"'
MESSAGES = [
    ("duplicate key", b'{"population":"a","population":"b",' + OFFER + b"}", "twice"),
    ("missing field", b"{" + OFFER + b"}", "key 'population' is missing"),
    ("wrong type", b'{"population":1,' + OFFER + b"}", "population"),
    ("not JSON", b"{", "not JSON"),
    ("not an object", b"[]", "a list"),
    ("not UTF-8", b'{"population":"\xff"}', "not JSON"),
    ("NaN", b'{"population":"a",' + OFFER + b',"protocol":NaN}', "NaN"),
    ("nested beyond reason", b"[" * 50_000, "not JSON"),
    ("another protocol", b'{"population":"a",' + OFFER + b',"protocol":2}', "protocol"),
    ("half a character", b'{"population":"\\ud800",' + OFFER + b"}", "not JSON"),
    ("a huge number", b'{"population":"a",' + OFFER + b',"protocol":' + b"1" * 5000 + b"}", ""),
]


@pytest.mark.parametrize(("body", "word"), [row[1:] for row in MESSAGES], ids=[row[0] for row in MESSAGES])
def test_malformed_messages(house: House, body: bytes, word: str) -> None:
    (device,) = house.devices(1)
    answer = house.http.post("/v1/check-ins", content=body, auth=device.auth)
    assert word in check_problem(answer, 400, "invalid-message")["detail"]


def test_a_message_that_is_too_long(house: House) -> None:
    (device,) = house.devices(1)
    body = b'{"population":"' + b"a" * 100_000 + b'"}'
    check_problem(house.http.post("/v1/check-ins", content=body, auth=device.auth), 413, "too-large")


@pytest.mark.parametrize(
    "path", ["/v1/blobs/..%2f..%2fcoordinator.sqlite", "/v1/blobs/" + "0" * 63, "/v1/blobs/" + "G" * 64]
)
def test_a_path_trick_is_no_blob(house: House, path: str) -> None:
    (device,) = house.devices(1)
    answer = house.http.get(path, auth=device.auth)
    assert answer.status_code in (400, 404)
    assert answer.headers["content-type"] == PROBLEM_TYPE


def test_unknown_routes_and_methods_are_problems_too(house: House) -> None:
    check_problem(house.http.get("/v1/nothing"), 404, "not-found")
    check_problem(house.http.get("/v1/check-ins"), 405, "method-not-allowed")


def test_huge_headers_are_refused(house: House) -> None:
    check_problem(house.http.get("/healthz", headers={"X-Junk": "a" * 20_000}), 431, "headers-too-large")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"labels": 3}, "invalid-message"),
        ({"task": {"name": "x", "rounds": 2, "requires": ["telepathy"]}}, "invalid-task"),
        ({"task": {"name": "x"}}, "invalid-message"),
        ({"task": {"name": "x", "rounds": 0}}, "invalid-message"),
        ({"task": {"name": "x", "rounds": 2, "relabel": {"start": 5}}}, "invalid-task"),
        ({"task": {"name": "x", "rounds": 2, "eligibility": {"min_client_version": "new"}}}, "invalid-message"),
        ({"task": {"name": "x", "rounds": 9, "local": {"hyperparameters": {"dropout": 0.5}}}}, "invalid-task"),
        ({"seal": {"manifest_sha256": "zz"}}, "invalid-message"),
        ({"seal": vars(OF_NOTHING)}, "blob-missing"),
        ({"checkpoint_sha256": "0" * 64}, "blob-missing"),
    ],
)
def test_an_impossible_task_is_refused_before_anything_is_stored(
    house: House, change: dict[str, Any], code: str
) -> None:
    from fedrela.core import bundle

    sealed = bundle.read(house.bundle)
    for sha256, body in sealed.blobs().items():
        house.operator.call("PUT", f"/blobs/{sha256}", content=body)
    task = Task("t", 3, round=Rounds(goal=1, smallest_cohort=1), relabel=Relabel(enabled=False))
    publication = {
        "task": json.loads(strict.to_json(task)),
        "seal": vars(sealed.seal),
        "checkpoint_sha256": sealed.seal.weights_sha256,
    }
    answer = house.http.post("/v1/admin/tasks", json=publication | change, headers=house.operator.headers)
    check_problem(answer, 409 if code == "blob-missing" else 400, code)
    assert house.operator.call("GET", "/tasks") == []


def test_a_blob_whose_bytes_do_not_match_its_name_is_refused(house: House) -> None:
    answer = house.http.put(f"/v1/admin/blobs/{'0' * 64}", content=b"x", headers=house.operator.headers)
    check_problem(answer, 409, "integrity")
    assert list(house.coordinator.blobs.listing()) == []


def test_weights_that_do_not_fit_the_manifest_are_refused(house: House) -> None:
    from fedrela.core import bundle, signing

    sealed = bundle.read(house.bundle)
    for sha256, body in sealed.blobs().items():
        house.operator.call("PUT", f"/blobs/{sha256}", content=body)
    other = tensors.to_bytes({"w": np.zeros((3, 2), np.float32)})
    house.operator.call("PUT", f"/blobs/{signing.sha256(other)}", content=other)
    task = json.loads(strict.to_json(Task("t", 3, relabel=Relabel(enabled=False))))
    publication = {
        "task": task,
        "seal": vars(sealed.seal),
        "checkpoint_sha256": signing.sha256(other),
    }
    answer = house.http.post("/v1/admin/tasks", json=publication, headers=house.operator.headers)
    check_problem(answer, 400, "invalid-tensors")

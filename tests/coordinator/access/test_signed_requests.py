"""A device's key signs what the device asks for: without it a token opens nothing, and nothing is changed."""

import json
from typing import Any

import pytest

from fedrela.core import signing
from fedrela.core.protocol import signed_requests
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House

ONE, TWO = fleet.body(fleet.change(1.0)), fleet.body(fleet.change(2.0))
CHECK_IN = {"population": "default", "client": "python 1", "runtimes": ["onnx 1.32.0"], "nonce": fleet.NONCE}


def requests(assignment: dict[str, Any]) -> list[tuple[str, str, bytes, dict[str, str]]]:
    """One of each kind that a device sends; its withdrawal last."""
    path, token = f"/v1/assignments/{assignment['assignment_id']}", assignment["upload_token"]
    totals = {"loss_sum": 1.0, "correct": 1, "examples": 2}
    return [
        ("POST", "/v1/check-ins", json.dumps(CHECK_IN).encode(), {}),
        ("GET", f"/v1/blobs/{assignment['checkpoint_sha256']}", b"", {}),
        ("GET", "/v1/tasks", b"", {}),
        ("POST", f"{path}/evaluation", json.dumps(totals).encode(), {}),
        ("PUT", f"{path}/update", ONE, {"Fedrela-Upload-Token": token}),
        ("POST", f"{path}/failure", b'{"code":"timed-out"}', {}),
        ("DELETE", "/v1/devices/self", b"", {}),
    ]


@pytest.mark.parametrize("number", range(7))
def test_a_stolen_token_without_the_key_opens_nothing(house: House, number: int) -> None:
    task_id = house.publish(1, goal=2)
    device, thief = house.devices(2)
    method, path, body, headers = requests(device.join())[number]
    bearer = headers | {"Authorization": f"Bearer {device.token}"}
    unsigned = house.http.request(method, path, content=body, headers=bearer)
    check_problem(unsigned, 401, "bad-signature")
    forged = fleet.Signed(device.token, thief.private_key)
    check_problem(house.http.request(method, path, content=body, headers=headers, auth=forged), 401, "bad-signature")
    claimed = {**bearer, **signed_requests.headers(thief.private_key, method, path, body)}
    parameters = signed_requests.headers(device.private_key, method, path, body)[signed_requests.SIGNATURE_INPUT]
    claimed[signed_requests.SIGNATURE_INPUT] = parameters
    check_problem(house.http.request(method, path, content=body, headers=claimed), 401, "bad-signature")
    shown = house.operator.task(task_id)
    assert (shown["open"], shown["reported"]) == (1, 0)
    assert device.check_in()["assignment"]


CHANGED = {
    0: json.dumps(CHECK_IN | {"nonce": "1e" * 16}).encode(),
    3: b'{"loss_sum":1.0,"correct":2,"examples":2}',
    4: TWO,
    5: b'{"code":"training-failed"}',
}


@pytest.mark.parametrize("number", CHANGED)
def test_a_body_that_was_changed_on_its_way_is_refused_and_changes_nothing(house: House, number: int) -> None:
    task_id = house.publish(1, goal=2)
    (device,) = house.devices(1)
    method, path, body, headers = requests(device.join())[number]
    signed = headers | {"Authorization": f"Bearer {device.token}"}
    signed |= signed_requests.headers(device.private_key, method, path, body)
    flipped = body[:-5] + bytes([body[-5] ^ 1]) + body[-4:]
    for other in (flipped, CHANGED[number]):
        answer = house.http.request(method, path, content=other, headers=signed)
        check_problem(answer, 400, "bad-digest")
    fitting = signed | {signed_requests.CONTENT_DIGEST: signed_requests.content_digest(CHANGED[number])}
    answer = house.http.request(method, path, content=CHANGED[number], headers=fitting)
    check_problem(answer, 401, "bad-signature")
    shown = house.operator.task(task_id)
    assert (shown["open"], shown["reported"]) == (1, 0)


def test_a_signature_is_for_one_request_alone(house: House) -> None:
    house.publish(1, goal=2)
    one, two = house.devices(2)
    first, second = one.join(), two.join()
    path = f"/v1/assignments/{first['assignment_id']}/update"
    signed = signed_requests.headers(one.private_key, "PUT", path, ONE) | {"Authorization": f"Bearer {one.token}"}
    signed |= {"Fedrela-Upload-Token": second["upload_token"]}
    elsewhere = f"/v1/assignments/{second['assignment_id']}/update"
    check_problem(house.http.put(elsewhere, content=ONE, headers=signed), 401, "bad-signature")
    assert two.upload(second, TWO).status_code == 200


def test_a_request_that_is_sent_again_does_what_it_did(house: House) -> None:
    """A replay of all that a device has sent, in any order: nothing is counted twice, nobody is any further."""
    task_id = house.publish(2, goal=2)
    one, two = house.devices(2)
    assignment = one.join()
    recorded = []
    for method, path, body, headers in requests(assignment)[:5]:
        signed = headers | signed_requests.headers(one.private_key, method, path, body)
        recorded.append((method, path, body, signed | {"Authorization": f"Bearer {one.token}"}))
        house.http.request(method, path, content=body, headers=recorded[-1][3])
    before = house.operator.task(task_id)
    assert (before["open"], before["reported"]) == (0, 1)
    for method, path, body, signed in reversed(recorded):
        assert house.http.request(method, path, content=body, headers=signed).status_code in (200, 204, 403, 409)
    after = house.operator.task(task_id)
    assert (after["open"], after["reported"]) == (0, 1)
    assert two.upload(two.join(), ONE).status_code == 200


def test_the_signature_counts_below_a_proxy_s_prefix_too(house: House) -> None:
    (device,) = house.devices(1)
    from fastapi.testclient import TestClient

    with TestClient(house.http.app, root_path="/fl") as http:
        answer = http.post("/v1/check-ins", json=CHECK_IN, auth=device.auth)
        assert answer.status_code == 200, answer.text


def test_the_enrolled_key_alone_signs(house: House) -> None:
    (device,) = house.devices(1)
    other = fleet.Signed(device.token, signing.generate_key())
    check_problem(house.http.post("/v1/check-ins", json=CHECK_IN, auth=other), 401, "bad-signature")
    assert house.http.post("/v1/check-ins", json=CHECK_IN, auth=device.auth).status_code == 200

"""Who takes part: enrollment tokens that are limited and revocable, and devices that are revoked."""

from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest

from fedrela.conformance.files import PUBLISHER
from fedrela.coordinator.access import leaving
from fedrela.coordinator.storage import rows
from fedrela.core import signing
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House

ONE = fleet.body(fleet.change(1.0))


def test_enrollment_tokens_are_limited_in_number_and_time_and_can_be_revoked(house: House) -> None:
    token = house.operator.link(2)
    fleet.enroll(house.http, token)
    fleet.enroll(house.http, token)
    key = signing.generate_key()

    def enroll(secret: str) -> object:
        return house.http.post("/v1/devices", json=fleet.enrollment(secret, key))

    check_problem(enroll(token), 403, "bad-enrollment-token")
    check_problem(enroll("guess"), 403, "bad-enrollment-token")
    house.operator.link(5)
    made = house.operator.call("POST", "/tokens", json={"max_uses": 5, "valid_seconds": 10, "publishers": [PUBLISHER]})
    assert enroll(made["enrollment_token"]).status_code == 201  # type: ignore[attr-defined]
    house.clock(10)
    check_problem(enroll(made["enrollment_token"]), 403, "bad-enrollment-token")
    revoked = house.operator.call("POST", "/tokens", json={"max_uses": 5, "publishers": [PUBLISHER]})
    house.operator.call("DELETE", f"/tokens/{revoked['token_id']}")
    check_problem(enroll(revoked["enrollment_token"]), 403, "bad-enrollment-token")
    listed = house.operator.call("GET", "/tokens")
    assert sorted(item["uses"] for item in listed) == [0, 0, 1, 2]
    assert all("token_hash" not in item and "enrollment_token" not in item for item in listed)


def test_an_enrollment_whose_answer_was_lost_is_repeated_and_counts_once(house: House) -> None:
    token = house.operator.link(1)
    key = signing.generate_key()
    body = fleet.enrollment(token, key)
    lost, repeated = (house.http.post("/v1/devices", json=body) for _ in range(2))
    assert (lost.status_code, repeated.status_code) == (201, 201)
    assert lost.json()["device_id"] == repeated.json()["device_id"]
    signed = [fleet.Signed(answer.json()["device_token"], key) for answer in (lost, repeated)]
    check_problem(house.http.delete("/v1/devices/self", auth=signed[0]), 401, "unauthenticated")
    assert house.http.delete("/v1/devices/self", auth=signed[1]).status_code == 204
    check_problem(house.http.post("/v1/devices", json=body), 403, "bad-enrollment-token")


@pytest.mark.parametrize("key", ["", "zz", "0" * 63, "G" * 64, "A" * 64])
def test_a_malformed_public_key_uses_up_no_place(house: House, key: str) -> None:
    token = house.operator.link(1)
    answer = house.http.post("/v1/devices", json=fleet.enrollment(token, "5e" * 32) | {"public_key": key})
    check_problem(answer, 400, "invalid-message")
    fleet.enroll(house.http, token)


@pytest.mark.parametrize("by_owner", [True, False])
def test_revocation_works_at_once_and_frees_the_slot(house: House, by_owner: bool) -> None:
    task_id = house.publish(1, goal=1)
    one, two = house.devices(2)
    assignment = one.join()
    if by_owner:
        assert house.http.delete("/v1/devices/self", auth=one.auth).status_code == 204
    else:
        house.operator.call("DELETE", f"/devices/{one.device_id}")
        house.operator.call("DELETE", f"/devices/{one.device_id}")
    check_problem(one.upload(assignment, ONE), 401, "unauthenticated")
    assert house.operator.rounds(task_id)[0]["failures"] == {"revoked": 1}
    assert two.upload(two.join(), ONE).status_code == 200


def test_an_assignment_taken_in_the_instant_of_the_revocation_frees_its_slot(any_house: House) -> None:
    """The assignment is being given, in a transaction not yet committed, while the revocation looks and decides."""
    task_id = any_house.publish(1, goal=1)
    one, two = any_house.devices(2)
    decide = rows.participation
    revocations: list[Any] = []

    def interrupted(view: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        decided = decide(view, *arguments, **options)
        if view.get_execution_options().get("writes") and not revocations:  # in the transaction that gives assignments
            revocations.append(pool.submit(leaving.revoke_device, any_house.coordinator, one.device_id, 0.0))
            wait(revocations, timeout=1)  # it finishes, or it waits for a lock
        return decided

    with ThreadPoolExecutor(1) as pool, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "participation", interrupted)
        assignment = one.join()
    assert revocations[0].result() is None
    check_problem(one.upload(assignment, ONE), 401, "unauthenticated")
    assert any_house.operator.rounds(task_id)[0]["failures"] == {"revoked": 1}
    assert two.upload(two.join(), ONE).status_code == 200

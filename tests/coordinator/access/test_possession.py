"""Whoever enrolls shows that the key is theirs: nobody takes a device over, and a device that asks often is one."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa

from fedrela.coordinator.access import devices
from fedrela.coordinator.storage import schema
from fedrela.core import signing
from fedrela.core.protocol import statements
from fedrela.core.wire import EnrollRequest
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House
from tests.patience import PATIENCE_SECONDS

AT_ONCE = 10


def test_a_used_up_link_and_a_public_key_take_no_device_over(house: House) -> None:
    """The link was in a chat, the public key in a list of devices, and the device has not begun yet."""
    house.publish(1, goal=1)
    token = house.operator.link(1)
    device = fleet.enroll(house.http, token)
    stolen = fleet.enrollment(token, device.private_key)
    for signature in ("", "00" * 64, signing.sign(signing.generate_key(), b"anything"), device.token):
        check_problem(house.http.post("/v1/devices", json=stolen | {"signature": signature}), 401, "bad-signature")
    unsigned = {name: value for name, value in stolen.items() if name != "signature"}
    check_problem(house.http.post("/v1/devices", json=unsigned), 400, "invalid-message")
    assert device.check_in()["assignment"], "its token is worth nothing any more"


def test_a_proof_is_for_one_link_of_one_coordinator(house: House) -> None:
    key, first, second = signing.generate_key(), house.operator.link(1), house.operator.link(1)
    proof = fleet.enrollment(first, key)
    check_problem(house.http.post("/v1/devices", json=proof | {"enrollment_token": second}), 401, "bad-signature")
    elsewhere = signing.fingerprint(signing.public_key("22" * 32))
    signature = signing.sign(key, statements.enrollment(first, proof["public_key"], elsewhere))
    relayed = proof | {"coordinator": elsewhere, "signature": signature}
    check_problem(house.http.post("/v1/devices", json=relayed), 403, "another-coordinator")
    assert [token["uses"] for token in house.operator.call("GET", "/tokens")] == [0, 0]


def test_an_enrollment_that_is_sent_again_leaves_a_device_at_work_alone(house: House) -> None:
    house.publish(1, goal=1)
    token = house.operator.link(2)
    device = fleet.enroll(house.http, token)
    assignment = device.join()
    again = house.http.post("/v1/devices", json=fleet.enrollment(token, device.private_key))
    check_problem(again, 409, "enrolled-already")
    assert device.upload(assignment, fleet.body(fleet.change(1.0))).status_code == 200
    assert len(house.operator.call("GET", "/devices")) == 1


def test_ten_enrollments_of_one_key_at_once_are_one_device(any_house: House) -> None:
    token, key, start = any_house.operator.link(AT_ONCE), signing.generate_key(), Barrier(AT_ONCE)
    request = EnrollRequest(**fleet.enrollment(token, key))  # type: ignore[arg-type]

    def enroll(_: int) -> str:
        start.wait(PATIENCE_SECONDS)
        return devices.enroll(any_house.coordinator, request, 0.0).device_id

    with ThreadPoolExecutor(AT_ONCE) as pool:
        enrolled = set(pool.map(enroll, range(AT_ONCE)))
    assert len(enrolled) == 1
    assert [device["device_id"] for device in any_house.operator.call("GET", "/devices")] == list(enrolled)
    assert [token["uses"] for token in any_house.operator.call("GET", "/tokens")] == [1]


def test_the_database_keeps_one_device_per_link_and_key(any_house: House) -> None:
    token = any_house.operator.link(1)
    fleet.enroll(any_house.http, token)
    with any_house.coordinator.store.read() as view:
        row = dict(view.execute(sa.select(schema.devices).where(schema.devices.c.public_key != "")).one()._mapping)
    with pytest.raises(sa.exc.IntegrityError), any_house.coordinator.store.write() as tx:
        tx.execute(sa.insert(schema.devices).values(row | {"id": "d-2", "token_hash": "other"}))


def test_devices_that_version_0_1_made_twice_stay(any_house: House) -> None:
    """Its database may hold one key twice; both rows are there after the migration, and work."""
    token = any_house.operator.link(2)
    device = fleet.enroll(any_house.http, token)
    with any_house.coordinator.store.write() as tx:
        row: dict[str, Any] = dict(
            tx.execute(sa.select(schema.devices).where(schema.devices.c.public_key != "")).one()._mapping
        ) | {"proved_key": None}
        tx.execute(sa.update(schema.devices).values(proved_key=None))
        tx.execute(sa.insert(schema.devices).values(row | {"id": "d-2", "token_hash": "other"}))
    assert device.check_in()["wait"]

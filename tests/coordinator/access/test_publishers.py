"""Who vouches for a task's programs: said at publish, handed on with every assignment, named in every link."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from fedrela.conformance.files import PUBLISHER, PUBLISHER_KEY
from fedrela.coordinator.storage import schema, stored_tasks
from fedrela.core import bundle, signing, strict
from fedrela.core.errors import InvalidMessage
from fedrela.core.protocol import seals
from fedrela.core.protocol.seals import Seal
from fedrela.core.wire import Assignment
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House

OTHER_KEY = "0d" * 32


def publishers_of(house: House, **request: Any) -> list[str]:
    """Those that a new link names."""
    made = house.operator.call("POST", "/tokens", json=request)
    return list(made["fragment"].split(".")[2:])


def offer(device: fleet.Device) -> Assignment:
    return strict.build(Assignment, device.check_in()["assignment"], InvalidMessage)


def refusal(house: House, **request: Any) -> httpx.Response:
    return house.http.post("/v1/admin/tokens", json=request, headers=house.operator.headers)  # type: ignore[return-value]


def test_a_link_names_the_publishers_of_the_tasks_that_go_on(house: House) -> None:
    check_problem(refusal(house), 400, "invalid-message")
    assert "publish a task first" in refusal(house).json()["remedy"]
    first = house.publish()
    assert publishers_of(house) == [PUBLISHER]
    assert publishers_of(house, publishers=["0" * 32]) == ["0" * 32]
    check_problem(refusal(house, population="elsewhere"), 400, "invalid-message")
    bundle.seal(house.bundle, OTHER_KEY)
    try:
        house.publish()
        assert set(publishers_of(house)) == {PUBLISHER, signing.fingerprint(signing.public_key(OTHER_KEY))}
        house.operator.call("POST", f"/tasks/{first}/cancel")
        assert publishers_of(house) == [signing.fingerprint(signing.public_key(OTHER_KEY))]
    finally:
        bundle.seal(house.bundle, PUBLISHER_KEY)


def test_the_seal_travels_with_every_assignment(house: House) -> None:
    house.publish()
    (device,) = house.devices(1)
    offered = offer(device)
    assert offered.seal == bundle.read(house.bundle).seal
    seals.check(offered.seal, offered.manifest_sha256, (PUBLISHER,))


def test_a_page_is_shown_who_vouches_before_it_joins(house: House) -> None:
    house.publish()
    answer = house.http.get("/v1/tasks", headers={"Authorization": f"Bearer {house.operator.link()}"})
    (task,) = answer.json()["tasks"]
    assert Seal(**task["seal"]).publisher() == PUBLISHER


@pytest.mark.parametrize("change", ["signature", "key", "weights"])
def test_a_task_whose_seal_is_forged_is_not_begun(house: House, change: str) -> None:
    sealed = bundle.read(house.bundle).seal
    forged = {
        "signature": replace(sealed, signature="00" * 64),
        "key": replace(sealed, public_key=signing.public_key(OTHER_KEY)),
        "weights": replace(sealed, weights_sha256=sealed.manifest_sha256),
    }[change]
    publication: dict[str, Any] = {
        "task": {"name": "t", "rounds": 2, "relabel": {"enabled": False}},
        "seal": vars(forged),
    }
    publication["checkpoint_sha256"] = sealed.weights_sha256
    answer = house.http.post("/v1/admin/tasks", json=publication, headers=house.operator.headers)
    check_problem(answer, 409, "integrity")
    assert house.operator.call("GET", "/tasks") == []


def test_a_task_of_version_0_1_is_sealed_by_the_coordinator(house: House) -> None:
    task_id = house.publish()
    with house.coordinator.store.write() as tx:
        tx.execute(sa.update(schema.tasks).values(seal_json=""))
    stored_tasks.seal(house.coordinator.store, house.coordinator.settings.signing_key)
    (device,) = house.devices(1)
    sealed = offer(device).seal
    assert sealed is not None
    assert sealed.publisher() == signing.fingerprint(house.coordinator.settings.public_key)
    seals.check(sealed, house.operator.task(task_id)["manifest_sha256"], (sealed.publisher(),))

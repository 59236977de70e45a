"""An ended task goes for good, and takes nothing with it that another task needs."""

import sqlalchemy as sa

from fedrela.coordinator.storage import schema
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House

ONE, TWO = fleet.body(fleet.change(1.0)), fleet.body(fleet.change(2.0))


def names(house: House) -> set[str]:
    """All blobs."""
    return {blob.name for blob in house.coordinator.blobs.listing()}


def finished(house: House, body: bytes) -> str:
    """A task of one round that is over."""
    task_id = house.publish(1, goal=1)
    (device,) = house.devices(1)
    device.upload(device.join(), body)
    assert house.operator.task(task_id)["status"] == "finished"
    return task_id


def test_its_history_and_its_models_are_gone_and_those_of_others_stay(any_house: House) -> None:
    house = any_house
    first = finished(house, ONE)
    kept = names(house)
    same, other = finished(house, ONE), finished(house, TWO)
    house.operator.call("POST", f"/tasks/{other}/delete")
    house.operator.call("POST", f"/tasks/{same}/delete")
    assert names(house) == kept  # the second's model is the first's, too
    assert house.operator.rounds(first)[0]["updates"] == 1
    with house.coordinator.store.read() as view:
        for table in (schema.tasks.c.id, schema.rounds.c.task_id, schema.assignments.c.task_id):
            assert set(view.scalars(sa.select(table))) == {first}
    for task_id in (same, other, "t-none"):
        path = f"/v1/admin/tasks/{task_id}/delete"
        check_problem(house.http.post(path, headers=house.operator.headers), 404, "unknown-task")


def test_one_that_is_not_over_stays(house: House) -> None:
    task_id = house.publish(3, goal=1)
    for verb in ("resume", "pause"):
        house.operator.call("POST", f"/tasks/{task_id}/{verb}")
        answer = house.http.post(f"/v1/admin/tasks/{task_id}/delete", headers=house.operator.headers)
        check_problem(answer, 409, "task-not-over")
    house.operator.call("POST", f"/tasks/{task_id}/cancel")
    house.operator.call("POST", f"/tasks/{task_id}/delete")
    assert task_id not in {task["task_id"] for task in house.operator.call("GET", "/tasks")}


def test_a_device_that_worked_for_it_is_told(house: House) -> None:
    task_id = house.publish(3, goal=1)
    (device,) = house.devices(1)
    held = device.join()
    house.operator.call("POST", f"/tasks/{task_id}/cancel")
    house.operator.call("POST", f"/tasks/{task_id}/delete")
    assert device.upload(held, ONE).status_code == 404
    assert device.check_in()["assignment"] is None

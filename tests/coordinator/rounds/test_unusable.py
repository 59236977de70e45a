"""A model that devices can't use pauses its task: once two say so, or all that answered."""

import pytest

from tests.coordinator import fleet
from tests.coordinator.conftest import KEY, House

ONE = fleet.body(fleet.change(1.0))
CODE = "model-unusable"


def status(house: House, task_id: str) -> str:
    return str(house.operator.task(task_id)["status"])


def test_the_second_device_that_says_so_pauses_the_task_and_the_round_is_named(any_house: House) -> None:
    house = any_house
    task_id = house.publish(3, goal=3)
    one, two, *others = house.devices(5)
    for device in others:
        device.upload(device.join(), ONE)
    first, second = one.join(), two.join()
    assert one.fail(first, CODE).status_code == 204
    assert one.fail(first, CODE).status_code == 204  # the same device once more
    assert status(house, task_id) == "running"
    assert two.fail(second, CODE).status_code == 204
    shown = house.operator.task(task_id)
    assert shown["status"] == "paused"
    assert "round 2" in shown["problem"]
    assert "2 devices" in shown["problem"]
    assert house.operator.rounds(task_id)[-1]["failures"] == {CODE: 2}
    assert one.check_in()["wait"]["reason"] == "paused"
    house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    assert "2 devices report that the model" in house.http.get(f"/dashboard/tasks/{task_id}").text
    metrics = house.http.get("/metrics", headers=house.operator.headers).text
    assert f'fedrela_assignment_failures_total{{code="{CODE}"}}' in metrics
    assert f'fedrela_task_phase{{phase="paused",task="{task_id}"}} 1.0' in metrics


def test_a_rollback_and_a_resumption_go_on_from_a_model_that_is_right(house: House) -> None:
    task_id = house.publish(4, goal=2)
    one, two = house.devices(2)
    for device in (one, two):
        device.upload(device.join(), ONE)
    for device in (one, two):
        assignment = device.join()
        device.fail(assignment, CODE)
    assert status(house, task_id) == "paused"
    house.operator.call("POST", f"/tasks/{task_id}/rollback", json={"to_round": 0})
    house.operator.call("POST", f"/tasks/{task_id}/resume")
    assert one.fail(one.join(), CODE).status_code == 204
    assert status(house, task_id) == "running"  # what was said of the former model is not said of this one
    assert two.upload(two.join(), ONE).status_code == 200


def test_one_of_several_pauses_nothing_until_the_deadline(house: House) -> None:
    """Nobody can stop a task alone by answering first."""
    task_id = house.publish(3, goal=2, minimum=2, deadline_seconds=60.0)
    one, two = house.devices(2)
    one.fail(one.join(), CODE)
    assert status(house, task_id) == "running"
    house.clock(61)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["attempt"]) == ("paused", 2)
    assert "1 device reports that the model which round 1 begins with" in shown["problem"]
    house.operator.call("POST", f"/tasks/{task_id}/resume")
    assert two.upload(two.join(), ONE).status_code == 200
    house.clock(200)
    assert status(house, task_id) == "running"  # another answered, and could use it


def test_where_one_device_is_all_that_is_asked_it_is_enough(house: House) -> None:
    task_id = house.publish(3, goal=1)
    (device,) = house.devices(1)
    device.fail(device.join(), CODE)
    assert status(house, task_id) == "paused"


@pytest.mark.parametrize("code", ["training-failed", "not-eligible"])
def test_other_failures_say_nothing_of_the_model(house: House, code: str) -> None:
    task_id = house.publish(3, goal=3)
    for device in house.devices(3):
        device.fail(device.join(), code)
    assert status(house, task_id) == "running"

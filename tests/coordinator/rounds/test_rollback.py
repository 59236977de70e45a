"""Back to an earlier model, forward in numbers."""

from typing import Any

import pytest

from fedrela.coordinator.cli.operator_verbs import app
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem, stored
from tests.coordinator.conftest import KEY, House

ONE = fleet.body(fleet.change(1.0))


def publish(house: House, rounds: int = 10, **settings: Any) -> str:
    """A task whose optimizer has a state."""
    made = Rounds(goal=1, **{"smallest_cohort": 1} | settings)
    momentum = Aggregation(server_optimizer="fedavgm", server_momentum=0.5)
    task = Task("back", rounds, round=made, relabel=Relabel(enabled=False), aggregation=momentum)
    return house.operator.publish(house.bundle, task)


def roll_back(house: House, task_id: str, to_round: int) -> Any:
    """The answer to a rollback."""
    path = f"/v1/admin/tasks/{task_id}/rollback"
    return house.http.post(path, json={"to_round": to_round}, headers=house.operator.headers)


def bias(house: House, task_id: str) -> float:
    """One number of the newest model."""
    return float(house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])["b"][0])


def test_the_next_number_begins_from_the_old_model_with_a_new_optimizer(any_house: House) -> None:
    house = any_house
    task_id = publish(house)
    (device,) = house.devices(1)
    for _ in range(3):
        device.upload(device.join(), ONE)
    assert bias(house, task_id) == 1 + 1.5 + 1.75
    held = device.join()
    assert roll_back(house, task_id, 1).json() == {"round": 5}
    assert bias(house, task_id) == 1
    assert device.upload(held, ONE).json()["code"] == "round-closed"
    assignment = device.join()
    assert assignment["round"] == 5
    assert assignment["checkpoint_sha256"] == house.operator.rounds(task_id)[0]["checkpoint_sha256"]
    device.upload(assignment, ONE)
    assert bias(house, task_id) == 2  # the velocity began anew
    phases = [record["phase"] for record in house.operator.rounds(task_id)]
    assert phases == ["committed", "committed", "committed", "abandoned", "committed", "collecting"]
    shown = house.operator.task(task_id)
    assert (shown["round"], shown["committed_rounds"], shown["status"]) == (6, 4, "running")


def test_what_the_open_round_had_counts_nowhere(house: House) -> None:
    task_id = house.publish(5, goal=2)
    one, two = house.devices(2)
    first = one.join()
    one.upload(first, ONE)
    assert roll_back(house, task_id, 0).json() == {"round": 2}
    assert stored(house) == []
    assert one.upload(first, ONE).json()["code"] == "round-closed"
    assert house.operator.rounds(task_id)[0]["updates"] == 0
    for device in (one, two):
        assert device.upload(device.join(), ONE).status_code == 200
    assert house.operator.task(task_id)["committed_rounds"] == 1


def test_it_is_refused_where_there_is_no_model_or_no_round_left(house: House) -> None:
    task_id = publish(house, rounds=3)
    (device,) = house.devices(1)
    device.upload(device.join(), ONE)
    for number in (2, 3, 99):
        check_problem(roll_back(house, task_id, number), 409, "checkpoint-missing")
    check_problem(roll_back(house, task_id, -1), 400, "invalid-message")
    check_problem(roll_back(house, "t-none", 0), 404, "unknown-task")
    house.coordinator.blobs.delete(f"public/{house.operator.rounds(task_id)[0]['checkpoint_sha256']}")
    check_problem(roll_back(house, task_id, 1), 409, "checkpoint-missing")
    assert roll_back(house, task_id, 0).json() == {"round": 3}
    check_problem(roll_back(house, task_id, 0), 409, "no-round-left")
    device.upload(device.join(), ONE)
    check_problem(roll_back(house, task_id, 0), 409, "task-over")


def test_a_failed_or_paused_task_stays_paused_and_goes_on_when_it_is_resumed(house: House) -> None:
    task_id = house.publish(8, goal=2, minimum=2, deadline_seconds=100, retries=0)
    one, two = house.devices(2)
    for number in range(1, 5):  # three may be skipped in a row
        one.upload(one.join(), ONE)
        house.clock(100 * number)
    assert house.operator.task(task_id)["phase"] == "failed"
    assert roll_back(house, task_id, 0).status_code == 200
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["phase"], shown["round"]) == ("paused", "collecting", 5)
    house.operator.call("POST", f"/tasks/{task_id}/resume")
    for device in (one, two):
        assert device.upload(device.join(), ONE).status_code == 200
    assert house.operator.task(task_id)["round"] == 6


def test_an_asynchronous_task_closes_what_is_under_way(house: House) -> None:
    task_id = publish(house, mode="asynchronous", concurrency=3)
    one, two = house.devices(2)
    old = one.join()
    two.upload(two.join(), ONE)
    assert roll_back(house, task_id, 0).json() == {"round": 3}
    assert one.upload(old, ONE).json()["code"] == "round-closed"
    assert one.upload(one.join(), ONE).status_code == 200
    assert bias(house, task_id) == 1


def test_what_is_usual_is_learned_anew(house: House) -> None:
    task_id = publish(house, rounds=40)
    (device,) = house.devices(1)
    device.upload(device.join(), fleet.body(fleet.change(100.0)))
    for _ in range(25):
        assert device.upload(device.join(), ONE).status_code == 200
    assert device.upload(device.join(), fleet.body(fleet.change(101.0))).json()["code"] == "norm-too-large"
    assert roll_back(house, task_id, 0).status_code == 200
    assert device.upload(device.join(), fleet.body(fleet.change(101.0))).status_code == 200


def test_the_dashboard_has_a_button(house: House) -> None:
    task_id = publish(house)
    (device,) = house.devices(1)
    device.upload(device.join(), ONE)
    assert house.http.post(f"/dashboard/tasks/{task_id}/rollback", data={"to_round": "0"}).status_code == 401
    house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    assert '<option value="0">' in house.http.get(f"/dashboard/tasks/{task_id}").text
    answer = house.http.post(f"/dashboard/tasks/{task_id}/rollback", data={"to_round": "0"}, follow_redirects=False)
    assert answer.status_code == 303
    assert house.operator.task(task_id)["round"] == 3
    assert house.http.post(f"/dashboard/tasks/{task_id}/rollback", data={"to_round": "x"}).status_code == 400


def test_the_verb_says_where_it_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from fedrela.coordinator import admin_client
    from fedrela.coordinator.cli import operator_verbs

    task_id = publish(house)
    (device,) = house.devices(1)
    device.upload(device.join(), ONE)
    client = admin_client.AdminClient("http://testserver", KEY, http=house.http)  # type: ignore[arg-type]
    monkeypatch.setattr(operator_verbs, "admin", lambda url, admin_key: client)
    result = CliRunner().invoke(app, ["task", "rollback", task_id, "--to", "1"], catch_exceptions=False)
    assert result.output == f"task {task_id}: round 3 begins from the model of round 1\n"

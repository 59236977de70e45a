"""A small fleet never waits for ever: failures that are over, rounds that can't be completed, and what is said."""

import pytest

from fedrela.core.task import SMALLEST_COHORT
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import stored
from tests.coordinator.conftest import House

ONE = fleet.body(fleet.change(1.0))


def reason(device: fleet.Device) -> str:
    """Why a device that checks in has to wait."""
    return str(device.check_in()["wait"]["reason"])


@pytest.mark.parametrize("code", ["training-failed", "not-eligible", "self-test-failed", "timed-out"])
def test_a_device_whose_failure_is_over_is_asked_again_in_the_next_attempt(any_house: House, code: str) -> None:
    house = any_house
    task_id = house.publish(2, goal=2, minimum=2, deadline_seconds=30, compute_lease_seconds=1000)
    one, two = house.devices(2)
    assert one.upload(one.join(), ONE).status_code == 200
    two.fail(two.join(), code)
    assert reason(two) == "too-soon"
    house.clock(30)
    assert house.operator.task(task_id)["attempt"] == 2
    assert two.upload(two.join(), ONE).status_code == 200
    assert house.operator.task(task_id)["round"] == 2


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_and_within_an_attempt_after_a_rest(house: House, mode: str) -> None:
    task_id = house.publish(2, goal=2, smallest_cohort=2, deadline_seconds=3600, mode=mode)
    one, two = house.devices(2)
    one.upload(one.join(), ONE)
    two.fail(two.join())
    wait = two.check_in()["wait"]
    assert (wait["reason"], 60 <= wait["retry_after_seconds"] <= 90) == ("too-soon", True)
    house.clock(59)
    assert reason(two) == "too-soon"
    house.clock(60)
    assert two.upload(two.join(), ONE).status_code == 200
    assert house.operator.task(task_id)["round"] == 2


def test_a_device_that_has_reported_is_told_so_whatever_the_attempt(house: House) -> None:
    house.publish(1, goal=2, minimum=2, deadline_seconds=100, over_selection=2.0)
    one, _ = house.devices(2)
    one.upload(one.join(), ONE)
    assert reason(one) == "reported"
    house.clock(100)
    assert reason(one) == "reported"


def test_a_round_that_can_not_be_completed_is_skipped_and_the_next_begins_from_the_same_weights(
    any_house: House,
) -> None:
    house = any_house
    task_id = house.publish(9, goal=2, minimum=2, deadline_seconds=100, retries=1, compute_lease_seconds=1000)
    one, two = house.devices(2)
    base = house.operator.task(task_id)["checkpoint_sha256"]
    assert one.upload(one.join(), ONE).status_code == 200
    late = two.join()
    house.clock(100)
    house.clock(200)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["round"], shown["phase"], shown["committed_rounds"]) == (
        "running",
        2,
        "collecting",
        0,
    )
    assert "round 1 was skipped after 2 attempts: 1 of at least 2" in shown["problem"]
    assert shown["checkpoint_sha256"] == base
    assert stored(house) == []  # what was reported counts nowhere
    assert two.upload(late, ONE).json()["code"] == "round-closed"
    for device in (one, two):
        assignment = device.join()
        assert (assignment["round"], assignment["checkpoint_sha256"]) == (2, base)
        assert device.upload(assignment, ONE).status_code == 200
    shown = house.operator.task(task_id)
    assert (shown["round"], shown["committed_rounds"], shown["problem"]) == (3, 1, "")
    assert [record["phase"] for record in house.operator.rounds(task_id)] == ["skipped", "committed", "collecting"]
    assert house.operator.rounds(task_id)[0]["updates"] == 0


def test_three_in_a_row_are_skipped_and_the_fourth_waits_for_its_operator(house: House) -> None:
    """Going on would use up the rounds of a task whose fleet is away."""
    task_id = house.publish(9, goal=2, minimum=2, deadline_seconds=100, retries=0)
    one, _ = house.devices(2)
    for number in range(1, 5):
        assert one.join()["round"] == number
        house.clock(1000 * number)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["phase"], shown["round"]) == ("paused", "failed", 4)
    assert "task resume" in shown["waits_for"]
    assert reason(one) == "paused"
    house.operator.call("POST", f"/tasks/{task_id}/resume")
    assert one.join()["round"] == 4


def test_what_a_task_waits_for_is_always_said(house: House) -> None:
    task_id = house.publish(2, goal=6, smallest_cohort=SMALLEST_COHORT, deadline_seconds=100, compute_lease_seconds=90)

    def waits_for() -> str:
        return str(house.operator.task(task_id)["waits_for"])

    assert "no device is enrolled" in waits_for()
    devices = house.devices(2)
    assert "needs 5 devices, and only 2 are enrolled" in waits_for()
    devices += house.devices(3)
    assert "closes at its deadline with at least 5" in waits_for()
    devices += house.devices(2)
    assert "6 places are free, and no device is at work" in waits_for()
    devices[0].fail(devices[0].join(), "training-failed")
    devices[1].join()
    assert waits_for().startswith("6 more updates; at work: 1. Failed in this round: training-failed 1; ")
    house.operator.call("POST", f"/tasks/{task_id}/pause")
    assert waits_for() == "`fedrela task resume`: paused by the operator"
    house.operator.call("POST", f"/tasks/{task_id}/cancel")
    assert "waits_for" not in house.operator.task(task_id)

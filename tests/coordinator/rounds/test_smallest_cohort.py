"""No model is made of the updates of too few devices, whatever goal, minimum and mode say."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.coordinator.rounds import rules
from fedrela.coordinator.rounds.rules import Round
from fedrela.core import bundle
from fedrela.core.protocol.links import Link
from fedrela.core.task import SMALLEST_COHORT, Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem
from tests.coordinator.conftest import House

ONE = fleet.body(fleet.change(1.0))
SETTINGS = st.builds(
    lambda goal, minimum, smallest, mode: Rounds(
        mode=mode, goal=goal, minimum=min(minimum, goal), smallest_cohort=min(smallest, goal), retries=1000
    ),
    st.integers(1, 12),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from(["synchronous", "asynchronous"]),
)


@given(SETTINGS, st.integers(0, 12), st.integers(0, 12))
def test_no_event_sends_a_round_of_too_few_to_aggregation(settings: Rounds, reported: int, devices: int) -> None:
    devices = min(devices, reported + 1)
    before = Round(3, "collecting", 0.0, open=1, reported=reported, deadline_at=10.0)
    if rules.report(before, settings, devices=devices).phase == "aggregating":
        assert devices >= settings.smallest_cohort
    if rules.expire(before, settings, 20.0).phase == "aggregating":
        assert reported >= settings.smallest_cohort
    full = Round(3, "aggregating", 0.0, reported=max(reported, 1), pending=reported)
    if rules.drop(full, settings, 1, devices, 20.0).phase == "aggregating":
        assert devices >= settings.smallest_cohort
    if rules.following(full, settings, 20.0, devices=devices).phase == "aggregating":
        assert devices >= settings.smallest_cohort


def publish(house: House, **round_settings: Any) -> str:
    """A task with these rounds."""
    return house.operator.publish(
        house.bundle, Task("few", 5, round=Rounds(**round_settings), relabel=Relabel(enabled=False))
    )


def test_a_deadline_with_enough_by_minimum_is_not_enough_by_cohort(any_house: House) -> None:
    house = any_house
    task_id = publish(house, goal=8, minimum=1, deadline_seconds=100, compute_lease_seconds=1000)
    devices = house.devices(5)
    for device in devices[:4]:
        assert device.upload(device.join(), ONE).status_code == 200
    house.clock(100)
    shown = house.operator.task(task_id)
    assert (shown["round"], shown["phase"], shown["attempt"], shown["reported"]) == (1, "collecting", 2, 4)
    assert devices[4].upload(devices[4].join(), ONE).status_code == 200
    house.clock(200)
    assert house.operator.task(task_id)["round"] == 2


def test_a_buffer_counts_devices_and_not_updates(any_house: House) -> None:
    """One device that is quick fills a buffer alone: its updates of two start weights are still of one device."""
    house = any_house
    task_id = publish(house, mode="asynchronous", goal=2, smallest_cohort=2, concurrency=4)
    quick, *others = house.devices(4)
    held = quick.join()
    for device in others[:2]:
        device.upload(device.join(), ONE)
    assert house.operator.task(task_id)["round"] == 2
    assert quick.upload(held, ONE).status_code == 200  # of round 1, counts in round 2
    assert quick.upload(quick.join(), ONE).status_code == 200
    shown = house.operator.task(task_id)
    assert (shown["round"], shown["phase"], shown["reported"]) == (2, "collecting", 2)
    assert quick.check_in()["wait"]["reason"] == "reported"  # it has given what it can
    assert others[2].upload(others[2].join(), ONE).status_code == 200
    assert house.operator.task(task_id)["round"] == 3


@pytest.mark.parametrize("goal", range(1, SMALLEST_COHORT))
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_a_smaller_goal_is_refused_at_publish_unless_the_task_says_so_itself(
    house: House, goal: int, mode: str
) -> None:
    house.publish(1, goal=goal, mode=mode)
    seal = bundle.read(house.bundle).seal
    body = {
        "task": {"name": "few", "rounds": 5, "round": {"goal": goal, "mode": mode}, "privacy": {"secure": "none"}},
        "seal": vars(seal),
        "checkpoint_sha256": seal.weights_sha256,
    }
    answer = house.http.post("/v1/admin/tasks", json=body, headers=house.operator.headers)
    assert f"round.smallest_cohort = {goal}" in check_problem(answer, 400, "invalid-task")["remedy"]
    body["task"]["round"]["smallest_cohort"] = goal  # type: ignore[index]
    assert house.http.post("/v1/admin/tasks", json=body, headers=house.operator.headers).status_code == 201


def test_owners_are_told_before_they_enroll(house: House) -> None:
    from fedrela.edge.network.api import CoordinatorApi
    from fedrela.edge.owner.membership import notes

    publish(house, goal=6)
    link = Link("http://testserver", house.operator.link(1), "0f" * 16)
    api = CoordinatorApi(house.http)  # type: ignore[arg-type]
    (privacy,) = notes(api, link)
    assert "can read from it which classes" in privacy
    publish(house, goal=3, smallest_cohort=2)
    (warning,) = (note for note in notes(api, link) if "devices are mixed" in note)
    assert "as few as 2 devices" in warning
    publish(house, goal=3, smallest_cohort=1)
    assert any("may come from one device alone (usual: at least 5)" in note for note in notes(api, link))
    assert notes(api, replace(link, token="wrong")) == []
    assert house.operator.call("GET", "/devices") == []


def test_the_default_is_five() -> None:
    assert Rounds().smallest_cohort == SMALLEST_COHORT == 5

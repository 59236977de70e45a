"""Rounds that wait for nobody: updates weigh by their staleness."""

import numpy as np

from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.conftest import House

ONE = fleet.body(fleet.change(1.0))


def test_fedbuff_weighs_by_staleness_and_refuses_what_is_too_old(any_house: House) -> None:
    house = any_house
    rounds = Rounds(
        mode="asynchronous", goal=2, smallest_cohort=1, concurrency=4, max_staleness=1, staleness_exponent=0.5
    )
    task = Task("buffer", 4, round=rounds, relabel=Relabel(enabled=False), aggregation=Aggregation())
    task_id = house.operator.publish(house.bundle, task)
    slow, slower, *fast = house.devices(8)
    slow_assignment, slower_assignment = slow.join(), slower.join()
    for device in fast[:2]:
        device.upload(device.join(), fleet.body(fleet.change(2.0)))
    assert house.operator.task(task_id)["round"] == 2
    assert slow.upload(slow_assignment, fleet.body(fleet.change(8.0))).status_code == 200  # one round old
    fast[2].upload(fast[2].join(), fleet.body(fleet.change(2.0)))
    weights = house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])
    np.testing.assert_allclose(weights["b"], 2.0 + (8.0 / np.sqrt(2) + 2.0) / 2, rtol=1e-6)
    late = slower.upload(slower_assignment, fleet.body(fleet.change(1e6)))  # two rounds old
    assert (late.status_code, late.json()["code"]) == (409, "too-stale")
    assert house.operator.rounds(task_id)[0]["failures"] == {"too-stale": 1}
    assert house.operator.task(task_id)["open"] == 0
    for device in fast[3:5]:
        device.upload(device.join(), fleet.body(fleet.change(0.0)))
    for device in fast[:2]:
        device.upload(device.join(), fleet.body(fleet.change(0.0)))
    assert house.operator.task(task_id)["status"] == "finished"

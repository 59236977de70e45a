"""No update, however large, freezes a model or stops a task: it is refused or left out, named, and the task goes on."""

from typing import Any

import numpy as np
import pytest

from fedrela.coordinator.rounds import housekeeping
from fedrela.core import tensors
from fedrela.core.aggregation import outliers
from fedrela.core.task import Aggregation, Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.api.test_bad_input import check_problem, stored
from tests.coordinator.conftest import KEY, House

OPTIMIZERS = ("fedavg", "fedavgm", "fedadam", "fedyogi")
THREE = Rounds(goal=3, minimum=2, smallest_cohort=2)


def publish(house: House, rounds: Rounds = THREE, number: int = 30, **aggregation: Any) -> str:
    """A task of so many rounds."""
    settings = Aggregation(**{"server_lr": 0.1} | aggregation)
    task = Task("large", number, round=rounds, relabel=Relabel(enabled=False), aggregation=settings)
    return house.operator.publish(house.bundle, task)


def play(house: House, devices: list[fleet.Device], *values: float, encoding: str = "float32") -> list[int]:
    """One update of each device; the statuses."""
    assignments = [device.join() for device in devices]
    bodies = [fleet.body(fleet.change(value), encoding=encoding) for value in values]
    return [one.upload(two, body).status_code for one, two, body in zip(devices, assignments, bodies, strict=True)]


def accepted_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates are taken as an earlier version took them, whatever their size."""
    monkeypatch.setattr(outliers, "LARGEST_FIRST_RMS", 1e300)


@pytest.mark.parametrize("encoding", ["float32", "int8", "top-k"])
@pytest.mark.parametrize("optimizer", ["fedadam", "fedyogi", "fedavgm"])
def test_one_device_cannot_freeze_the_model(house: House, optimizer: str, encoding: str) -> None:
    """Case 02: 1e30 once made the second moment infinite, and every later checkpoint was the same."""
    task_id = publish(house, server_optimizer=optimizer, encoding=encoding)
    one, two, three, four = house.devices(4)
    play(house, [one, two, three], 1e-2, 1e-2, 1e-2, encoding=encoding)
    assert play(house, [one, two, three], 1e30, 2e-2, 2e-2, encoding=encoding) == [409, 200, 200]
    assert house.operator.task(task_id)["reported"] == 2
    assert play(house, [four], 2e-2, encoding=encoding) == [200]  # the slot was free again
    play(house, [one, two, three], 3e-2, 3e-2, 3e-2, encoding=encoding)
    rounds = house.operator.rounds(task_id)
    assert len({record["checkpoint_sha256"] for record in rounds[:3]}) == 3
    assert rounds[1]["failures"] == {"norm-too-large": 1}
    assert rounds[1]["left_out"] == {one.device_id: "norm-too-large"}


def test_after_twenty_updates_the_bound_is_a_hundred_times_what_is_usual(house: House) -> None:
    task_id = publish(house)
    devices = house.devices(3)
    for _ in range(7):
        play(house, devices, 1.0, 1.0, 1.0)
    assignment = devices[0].join()
    problem = check_problem(devices[0].upload(assignment, fleet.body(fleet.change(100.1))), 409, "norm-too-large")
    assert "learning rate" in problem["remedy"]
    assert stored(house) == []
    check_problem(devices[0].upload(assignment, fleet.body(fleet.change(1.0))), 409, "turn-failed")
    assert play(house, devices[1:], 99.9, 1.0) == [200, 200]
    assert house.operator.task(task_id)["round"] == 8


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("value", [3.4e38, -3.4e38, 1e33])
def test_an_update_that_was_accepted_and_overflows_is_left_out_and_the_round_goes_on(
    house: House, monkeypatch: pytest.MonkeyPatch, optimizer: str, value: float
) -> None:
    """Values of 3.4e38 left a round "aggregating" for ever."""
    accepted_before(monkeypatch)
    task_id = publish(house, server_optimizer=optimizer)
    devices = house.devices(3)
    assert play(house, devices, value, 1.0, 3.0) == [200, 200, 200]
    first = house.operator.rounds(task_id)[0]
    assert (first["phase"], first["updates"]) == ("committed", 2)
    assert first["left_out"] == {devices[0].device_id: "update-overflows"}
    assert len(stored(house)) == (0 if optimizer == "fedavg" else 1)  # the server optimizer's state
    weights = house.operator.weights(house.operator.task(task_id)["checkpoint_sha256"])
    assert all(np.isfinite(array).all() and array.any() for array in weights.values())


@pytest.mark.parametrize("rule", ["mean", "median", "trimmed-mean", "multi-krum"])
@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_no_rule_makes_a_model_that_is_not_finite(
    house: House, monkeypatch: pytest.MonkeyPatch, rule: str, clip_norm: float
) -> None:
    accepted_before(monkeypatch)
    task_id = publish(house, rule=rule, clip_norm=clip_norm, server_optimizer="fedadam")
    play(house, house.devices(3), 3.4e38, 3.4e38, 1.0)
    shown = house.operator.task(task_id)
    weights = house.operator.weights(shown["checkpoint_sha256"])
    assert all(np.isfinite(array).all() for array in weights.values())
    assert (shown["status"], shown["phase"]) == ("running", "collecting")


def test_a_round_that_has_too_few_left_collects_again_and_pauses_in_the_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted_before(monkeypatch)
    task_id = publish(house, Rounds(goal=3, minimum=1, smallest_cohort=3, retries=1), 1)
    devices = house.devices(6)
    play(house, devices[:3], 3.4e38, 1.0, 3.0)
    shown = house.operator.task(task_id)
    assert (shown["phase"], shown["attempt"], shown["reported"]) == ("collecting", 2, 2)
    play(house, devices[3:4], 3.4e38)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["phase"], shown["reported"]) == ("paused", "failed", 2)
    house.operator.call("POST", f"/tasks/{task_id}/resume")
    play(house, devices[4:5], 2.0)
    assert house.operator.task(task_id)["committed_rounds"] == 1
    assert house.operator.rounds(task_id)[0]["failures"] == {"update-overflows": 2}


def test_a_buffer_that_has_too_few_left_goes_on_with_what_waits_for_the_next(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = any_house
    accepted_before(monkeypatch)
    rounds = Rounds(mode="asynchronous", goal=2, smallest_cohort=2, concurrency=6)
    task_id = publish(house, rounds)
    devices = house.devices(4)
    assignments = [device.join() for device in devices]
    with monkeypatch.context() as patch:
        patch.setattr(housekeeping, "run_housekeeping", lambda coordinator: None)  # nobody aggregates yet
        for device, assignment, value in zip(devices[:3], assignments[:3], (3.4e38, 1.0, 3.0), strict=True):
            assert device.upload(assignment, fleet.body(fleet.change(value))).status_code == 200
    housekeeping.run_housekeeping(house.coordinator)
    shown = house.operator.task(task_id)
    assert (shown["phase"], shown["reported"], shown["committed_rounds"]) == ("collecting", 2, 0)
    assert devices[3].upload(assignments[3], fleet.body(fleet.change(9.0))).status_code == 200
    shown = house.operator.task(task_id)
    assert (shown["committed_rounds"], shown["reported"]) == (1, 0)
    weights = house.operator.weights(shown["checkpoint_sha256"])
    np.testing.assert_allclose(weights["b"], 0.1 * (1.0 + 3.0 + 9.0) / 3, rtol=1e-6)
    assert house.operator.rounds(task_id)[0]["updates"] == 3


def test_a_state_that_an_earlier_version_let_overflow_says_so_and_a_rollback_mends_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = publish(house, server_optimizer="fedadam")
    devices = house.devices(3)
    play(house, devices, 1.0, 1.0, 1.0)
    (name,) = stored(house)
    state = tensors.read(house.coordinator.blobs.read(name))
    body = tensors.to_bytes({key: np.full_like(array, np.inf) for key, array in state.items()})
    from tests.coordinator.storage.test_leftovers import replace_state

    replace_state(house, task_id, body)
    play(house, devices, 1.0, 1.0, 1.0)
    shown = house.operator.task(task_id)
    assert shown["phase"] == "aggregating"
    assert "fedrela task rollback" in shown["problem"]
    house.operator.call("POST", f"/tasks/{task_id}/rollback", json={"to_round": 1})
    play(house, devices, 1.0, 1.0, 1.0)
    shown = house.operator.task(task_id)
    assert (shown["problem"], shown["round"], shown["committed_rounds"]) == ("", 4, 2)


def test_a_model_that_stands_still_is_told(house: House) -> None:
    task_id = publish(house)
    devices = house.devices(3)
    play(house, devices, 1.0, 1.0, 1.0)
    for number in range(1, 4):
        assert house.operator.task(task_id)["unchanged_since"] is None, number
        play(house, devices, 0.0, 0.0, 0.0)
    assert house.operator.task(task_id)["unchanged_since"] == 1
    metrics = house.http.get("/metrics", headers=house.operator.headers).text
    assert f'fedrela_task_unchanged_rounds{{task="{task_id}"}} 3.0' in metrics
    house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    page = house.http.get(f"/dashboard/tasks/{task_id}").text
    assert "The model has not changed since round 1" in page
    play(house, devices, 1.0, 1.0, 1.0)
    assert house.operator.task(task_id)["unchanged_since"] is None

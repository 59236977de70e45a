"""Leases, deadlines, retries, several tasks, asynchronous rounds: whole behaviors in virtual time."""

import pytest

from fedrela.core.task import Eligibility, Relabel, Rounds, Task
from fedrela.core.wire import UpdateReceipt
from tests.coordinator import fleet
from tests.coordinator.conftest import House

ONE = fleet.body(fleet.change(1.0))


def test_a_dead_device_gives_its_slot_back_when_its_lease_is_over(any_house: House) -> None:
    house = any_house
    house.publish(1, goal=1, compute_lease_seconds=50, upload_lease_seconds=10)
    dead, other = house.devices(2)
    lost = dead.join()
    assert other.check_in()["wait"]["reason"] == "round-full"
    house.clock(49)
    assert other.check_in()["wait"]["reason"] == "round-full"
    house.clock(50)
    assert other.upload(other.join(), ONE).status_code == 200
    late = dead.upload(lost, ONE)
    assert (late.status_code, late.json()["code"]) == (409, "lease-expired")
    assert "check in" in late.json()["remedy"]


def test_a_slot_of_a_dead_device_is_free_at_once_for_a_check_in_even_before_the_sweep(house: House) -> None:
    from fedrela.coordinator.rounds import closing

    house.publish(1, goal=1, compute_lease_seconds=50)
    (device,) = house.devices(1)
    first = device.join()
    # Time moves without the sweep that `POST /v1/admin/clock` runs.
    house.coordinator.store.advance_clock(51)
    again = device.join()
    assert again["assignment_id"] != first["assignment_id"]
    assert closing.expire(house.coordinator, 51.0) == 0


def test_an_upload_that_begins_within_the_lease_may_end_after_it(house: House) -> None:
    from fedrela.coordinator.rounds import group_commit, service
    from fedrela.coordinator.rounds.uploads import Upload, UploadHeaders

    house.publish(1, goal=1, compute_lease_seconds=50, upload_lease_seconds=10)
    (device,) = house.devices(1)
    assignment = device.join()
    house.clock(49)
    coordinator = house.coordinator
    headers = UploadHeaders(device.credentials, assignment["assignment_id"], assignment["upload_token"], len(ONE))
    (begun,) = group_commit.begin_uploads(coordinator, [headers], 49.0)
    assert isinstance(begun, Upload)
    house.clock(55)  # the sweep must leave it alone
    assert group_commit.accept_updates(coordinator, [service.store_update(coordinator, begun, ONE)], 55.0) == [
        UpdateReceipt(1)
    ]


def test_an_upload_lease_is_given_once(house: House) -> None:
    house.publish(1, goal=1, compute_lease_seconds=50, upload_lease_seconds=10)
    (device,) = house.devices(1)
    assignment = device.join()
    house.clock(45)
    assert device.upload(assignment, b"junk").status_code == 400  # extends the lease to 55
    house.clock(54)
    assert device.upload(assignment, b"junk").status_code == 400
    house.clock(56)
    assert device.upload(assignment, ONE).json()["code"] == "lease-expired"
    assert house.operator.rounds(house.operator.call("GET", "/tasks")[0]["task_id"])[0]["failures"] == {
        "upload-lease-expired": 1
    }


def test_a_deadline_with_enough_reports_commits_without_the_stragglers(house: House) -> None:
    task_id = house.publish(2, goal=3, minimum=2, deadline_seconds=100, compute_lease_seconds=500)
    devices = house.devices(3)
    assignments = [device.join() for device in devices]
    for device, assignment in list(zip(devices, assignments, strict=True))[:2]:
        device.upload(assignment, ONE)
    assert house.operator.task(task_id)["round"] == 1
    house.clock(100)
    assert house.operator.task(task_id)["round"] == 2
    late = devices[2].upload(assignments[2], ONE)
    assert (late.status_code, late.json()["code"]) == (409, "round-closed")
    assert devices[2].join()["round"] == 2  # at once, with the new weights


def test_too_few_at_the_deadline_is_tried_again_then_pauses_and_a_resumed_round_keeps_its_reports(house: House) -> None:
    task_id = house.publish(1, goal=3, minimum=2, deadline_seconds=100, retries=1, compute_lease_seconds=1000)
    one, two, _ = house.devices(3)
    one.upload(one.join(), ONE)
    house.clock(100)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["attempt"], shown["reported"]) == ("running", 2, 1)
    house.clock(200)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["phase"]) == ("paused", "failed")
    assert "1 of at least 2" in shown["problem"]
    assert two.check_in()["wait"]["reason"] == "paused"
    house.operator.call("POST", f"/tasks/{task_id}/resume")
    assert two.upload(two.join(), ONE).status_code == 200
    house.clock(300)
    shown = house.operator.task(task_id)
    assert (shown["status"], shown["committed_rounds"]) == ("finished", 1)
    assert house.operator.rounds(task_id)[0]["updates"] == 2


def test_the_deadline_starts_with_the_first_device_so_an_early_task_waits_for_its_fleet(house: House) -> None:
    task_id = house.publish(1, goal=1, deadline_seconds=100)
    house.clock(100_000)
    assert house.operator.task(task_id)["status"] == "running"
    (device,) = house.devices(1)
    assert device.upload(device.join(), ONE).status_code == 200


def test_pause_lets_devices_at_work_report_and_nobody_else_in(house: House) -> None:
    task_id = house.publish(1, goal=2)
    one, two = house.devices(2)
    assignment = one.join()
    house.operator.call("POST", f"/tasks/{task_id}/pause")
    house.operator.call("POST", f"/tasks/{task_id}/pause")
    assert two.check_in()["wait"]["reason"] == "paused"
    assert one.upload(assignment, ONE).status_code == 200
    house.operator.call("POST", f"/tasks/{task_id}/resume")
    assert two.upload(two.join(), ONE).status_code == 200
    assert house.operator.task(task_id)["status"] == "finished"


def test_cancel_closes_open_assignments_for_good(house: House) -> None:
    task_id = house.publish(1, goal=1)
    (device,) = house.devices(1)
    assignment = device.join()
    house.operator.call("POST", f"/tasks/{task_id}/cancel")
    house.operator.call("POST", f"/tasks/{task_id}/cancel")
    assert device.upload(assignment, ONE).json()["code"] == "round-closed"
    assert device.check_in()["wait"]["reason"] == "no-task"
    answer = house.http.post(f"/v1/admin/tasks/{task_id}/resume", headers=house.operator.headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "task-over")


def test_over_selection_takes_the_first_to_report_and_closes_the_rest(house: House) -> None:
    task_id = house.publish(1, goal=2, over_selection=1.5)
    devices = house.devices(4)
    assignments = [device.join() for device in devices[:3]]
    assert devices[3].check_in()["wait"]["reason"] == "round-full"
    answers = [
        device.upload(assignment, ONE).status_code for device, assignment in zip(devices, assignments, strict=False)
    ]
    assert answers == [200, 200, 409]
    assert house.operator.rounds(task_id)[0]["updates"] == 2


def test_two_tasks_and_two_populations_run_side_by_side(house: House) -> None:
    first = house.publish(1, goal=2, name="first")
    second = house.publish(1, goal=1, name="second")
    other = house.operator.publish(
        house.bundle,
        Task("other", 1, population="lab", round=Rounds(goal=1, smallest_cohort=1), relabel=Relabel(enabled=False)),
    )
    devices = house.devices(3)
    assignments = [device.join() for device in devices]
    assert sorted(assignment["task_id"] for assignment in assignments) == sorted([first, first, second])
    (stranger,) = house.devices(1, "lab")
    assert stranger.join()["task_id"] == other
    answer = stranger.http.post(
        "/v1/check-ins",
        json={"population": "default", "client": "python 1", "runtimes": ["onnx 1.32.0"], "nonce": "0f" * 16},
        auth=stranger.auth,
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong-population")


def test_a_device_has_one_open_assignment_whatever_the_number_of_tasks(house: House) -> None:
    house.publish(1, goal=5, name="first")
    house.publish(1, goal=5, name="second")
    (device,) = house.devices(1)
    assert {device.join()["assignment_id"] for _ in range(4)} == {device.join()["assignment_id"]}


def test_version_bounds_runtime_separation_and_fraction_are_told_apart(house: House) -> None:
    limits = Eligibility(
        min_client_versions={"python": "0.2.0"}, max_client_versions={"any": "0.9"}, min_separation_seconds=100
    )
    task = Task("picky", 3, round=Rounds(goal=1, smallest_cohort=1), relabel=Relabel(enabled=False), eligibility=limits)
    house.operator.publish(house.bundle, task)
    (device,) = house.devices(1)
    assert device.check_in(client="python 0.1.9")["wait"]["reason"] == "version"
    assert device.check_in(client="page 1.0")["wait"]["reason"] == "version"
    device.client = "python 0.2.0"
    assert device.check_in(runtimes=("executorch 1.4.1",))["wait"]["reason"] == "runtime"
    device.upload(device.join(), ONE)
    wait = device.check_in()["wait"]
    assert wait["reason"] == "too-soon"
    assert 100 <= wait["retry_after_seconds"] <= 150
    house.clock(100)
    assert device.join()["round"] == 2


@pytest.mark.parametrize(
    "code", ["not-eligible", "training-failed", "self-test-failed", "timed-out", "integrity-failed"]
)
def test_failure_codes_are_kept_apart_and_free_the_slot(house: House, code: str) -> None:
    task_id = house.publish(1, goal=1)
    one, two = house.devices(2)
    assignment = one.join()
    assert one.fail(assignment, code).status_code == 204
    assert one.fail(assignment, code).status_code == 204
    assert house.operator.rounds(task_id)[0]["failures"] == {code: 1}
    assert one.check_in()["wait"]["reason"] == "too-soon"  # not again at once
    assert two.upload(two.join(), ONE).status_code == 200


def test_a_device_takes_part_once_per_round_so_no_update_is_made_twice_from_the_same_weights(house: House) -> None:
    house.operator.publish(
        house.bundle,
        Task("buffer", 2, round=Rounds(mode="asynchronous", goal=3, smallest_cohort=1), relabel=Relabel(enabled=False)),
    )
    (device,) = house.devices(1)
    device.upload(device.join(), ONE)
    assert device.check_in()["wait"]["reason"] == "reported"


def test_the_virtual_clock_never_goes_back_and_a_real_one_is_not_set(house: House) -> None:
    house.clock(10)
    house.clock(5)
    assert house.coordinator.store.now() == 10.0

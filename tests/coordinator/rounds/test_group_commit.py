"""Many check-ins and many updates in one batch give what one after the other would."""

from collections import Counter

import pytest

from fedrela.coordinator.access import leaving
from fedrela.coordinator.access.devices import Credentials
from fedrela.coordinator.rounds import group_commit, service
from fedrela.coordinator.rounds.offers import Offer
from fedrela.coordinator.rounds.service import CheckInRequest
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.rounds.views import View
from fedrela.core.errors import Refused
from fedrela.core.task import Eligibility, Relabel, Rounds, Task
from fedrela.core.wire import Assignment, UpdateReceipt, Wait
from tests.coordinator import fleet
from tests.coordinator.conftest import House
from tests.coordinator.rounds.batches import ONE, assignments, caller, delivered, keyed_devices


def test_a_batch_never_gives_more_assignments_than_there_are_slots(any_house: House) -> None:
    house = any_house
    first, second = house.publish(1, goal=2, name="first"), house.publish(1, goal=3, name="second")
    answers = group_commit.check_ins(house.coordinator, [caller(device) for device in house.devices(9)], 0.0)
    per_task = Counter(answer.task_id for answer in answers if isinstance(answer, Assignment))
    assert per_task == {first: 2, second: 3}
    assert [answer.reason for answer in answers if isinstance(answer, Wait)] == ["round-full"] * 4
    assert [house.operator.task(task_id)["open"] for task_id in (first, second)] == [2, 3]


def test_a_device_that_asks_twice_in_a_batch_gets_one_assignment(any_house: House) -> None:
    house = any_house
    task_id = house.publish(1, goal=5)
    one, two = house.devices(2)
    answers = group_commit.check_ins(house.coordinator, [caller(one), caller(two), caller(one), caller(one)], 0.0)
    names = [answer.assignment_id for answer in answers if isinstance(answer, Assignment)]
    assert names[0] == names[2] == names[3] != names[1]
    assert house.operator.task(task_id)["open"] == 2


def test_each_fault_of_a_batch_is_its_caller_s_own(house: House) -> None:
    house.publish(1, goal=5)
    good, gone, foreign = house.devices(3)
    leaving.revoke_device(house.coordinator, gone.device_id, 0.0)
    callers = [
        caller(gone),
        caller(foreign, population="lab"),
        CheckInRequest(Credentials("0" * 64, "0" * 64), caller(good).check_in),
        caller(good),
    ]
    answers = group_commit.check_ins(house.coordinator, callers, 0.0)
    assert [getattr(answer, "code", "") for answer in answers[:2]] == ["unauthenticated", "wrong-population"]
    assert isinstance(answers[2], Refused)
    assert isinstance(answers[3], Assignment)


def test_leases_that_are_over_are_swept_for_the_batch_that_finds_them(house: House) -> None:
    task_id = house.publish(1, goal=2, compute_lease_seconds=50)
    fleet_ = house.devices(3)
    before = assignments(house, fleet_[:2])
    after = assignments(house, fleet_, now=60.0)
    assert len(after) == 2
    assert not {assignment.assignment_id for assignment in before} & {assignment.assignment_id for assignment in after}
    record = house.operator.rounds(task_id)[0]
    assert (record["failures"], record["assignments"]) == ({"compute-lease-expired": 2}, 4)
    assert house.operator.task(task_id)["open"] == 2


def test_only_the_selected_fraction_of_the_devices_gets_assignments(house: House) -> None:
    limits = Eligibility(device_fraction=0.5)
    task = Task("some", 1, round=Rounds(goal=60), relabel=Relabel(enabled=False), eligibility=limits)
    house.operator.publish(house.bundle, task)
    asking = keyed_devices(house, 60)
    answers = group_commit.check_ins(house.coordinator, [caller(device) for device in asking], 0.0)
    has_assignment = [isinstance(answer, Assignment) for answer in answers]
    assert 10 < sum(has_assignment) < 50
    assert {answer.reason for answer in answers if isinstance(answer, Wait)} == {"not-selected"}
    again = group_commit.check_ins(house.coordinator, [caller(device) for device in asking], 1.0)
    assert [isinstance(answer, Assignment) for answer in again] == has_assignment  # asking again draws no other lot


def test_waiting_times_are_spread_so_that_a_fleet_does_not_come_back_at_once(house: House) -> None:
    house.publish(1, goal=1, retry_after_seconds=100.0)
    asking = keyed_devices(house, 40)
    answers = group_commit.check_ins(house.coordinator, [caller(device) for device in asking], 0.0)
    seconds = sorted(answer.retry_after_seconds for answer in answers if isinstance(answer, Wait))
    assert len(seconds) == 39
    assert 100.0 <= seconds[0] < 115.0
    assert 135.0 < seconds[-1] <= 150.0
    assert len(set(seconds)) == 39


def test_updates_of_a_batch_count_once_each_and_the_round_closes_at_its_goal(any_house: House) -> None:
    house = any_house
    task_id = house.publish(2, goal=2, over_selection=2.0)
    fleet_ = house.devices(4)
    assigned = assignments(house, fleet_)
    sent = [delivered(house, device, assignment) for device, assignment in zip(fleet_, assigned, strict=True)]
    answers = group_commit.accept_updates(house.coordinator, [sent[0], sent[0], sent[1], sent[2], sent[0]], 0.0)
    assert [answers[index] for index in (0, 1, 4)] == [
        UpdateReceipt(1),
        UpdateReceipt(1, duplicate=True),
        UpdateReceipt(1, duplicate=True),
    ]
    assert answers[2] == UpdateReceipt(1)
    assert getattr(answers[3], "code", "") == "round-closed"  # the third of two
    shown = house.operator.task(task_id)
    assert (shown["phase"], shown["reported"], shown["open"]) == ("aggregating", 2, 2)
    assert house.operator.rounds(task_id)[0]["update_bytes"] == 2 * len(ONE)


def test_another_body_for_the_same_assignment_in_one_batch_is_refused(house: House) -> None:
    house.publish(1, goal=2)
    (device,) = house.devices(1)
    (assignment,) = assignments(house, [device])
    other = fleet.body(fleet.change(2.0))
    sent = [delivered(house, device, assignment), delivered(house, device, assignment, other)]
    answers = group_commit.accept_updates(house.coordinator, sent, 0.0)
    assert answers[0] == UpdateReceipt(1)
    assert getattr(answers[1], "code", "") == "already-reported"


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_update_for_a_task_that_is_over_is_refused_and_an_acknowledged_one_repeated(
    house: House, cancelled: bool
) -> None:
    task_id = house.publish(1, goal=1, over_selection=2.0)
    fleet_ = house.devices(2)
    assigned = assignments(house, fleet_)
    late = delivered(house, fleet_[1], assigned[1])
    sent = delivered(house, fleet_[0], assigned[0])
    if cancelled:
        house.operator.call("POST", f"/tasks/{task_id}/cancel")
    else:
        assert group_commit.accept_updates(house.coordinator, [sent], 0.0) == [UpdateReceipt(1)]
        house.clock(1.0)
        assert house.operator.task(task_id)["status"] == "finished"
    answers = group_commit.accept_updates(house.coordinator, [late, sent], 1.0)
    assert getattr(answers[0], "code", "") == "round-closed"
    assert (answers[1] == UpdateReceipt(1, duplicate=True)) is not cancelled


def test_stale_and_fresh_updates_of_one_batch_are_told_apart(house: House) -> None:
    rounds = Rounds(mode="asynchronous", goal=1, smallest_cohort=1, concurrency=4, max_staleness=0)
    task_id = house.operator.publish(house.bundle, Task("buffer", 3, round=rounds, relabel=Relabel(enabled=False)))
    fleet_ = house.devices(3)
    old = assignments(house, fleet_[:2])
    stale = delivered(house, fleet_[0], old[0])
    assert fleet_[1].upload(old[1].__dict__, ONE).status_code == 200
    (new,) = assignments(house, [fleet_[2]])
    answers = group_commit.accept_updates(house.coordinator, [stale, delivered(house, fleet_[2], new)], 0.0)
    assert getattr(answers[0], "code", "") == "too-stale"
    assert answers[1] == UpdateReceipt(2)
    assert house.operator.rounds(task_id)[0]["failures"] == {"too-stale": 1}


def test_the_rules_do_alone_what_a_batch_does_with_many(any_house: House) -> None:
    task_id = any_house.publish(1, goal=2)
    (device,) = any_house.devices(1)
    coordinator = any_house.coordinator
    with coordinator.store.read() as connection:
        offer = service.check_in(View(coordinator, connection, [device.credentials]), caller(device), 0.0)
    assert isinstance(offer, Offer)
    assert offer.task_ids == (task_id,)
    with coordinator.store.write() as connection:
        tx = TaskTransaction(coordinator, connection, task_id)
        assignment = service.join(tx, offer.applicant, 0.0)
        tx.flush(0.0)
    assert assignment is not None
    update = delivered(any_house, device, assignment)
    with coordinator.store.write() as connection:
        tx = TaskTransaction(coordinator, connection, task_id)
        assert service.accept_update(tx, update, 1.0) == UpdateReceipt(1)
        assert service.accept_update(tx, update, 1.0) == UpdateReceipt(1, duplicate=True)
        tx.flush(1.0)
    shown = any_house.operator.task(task_id)
    assert (shown["reported"], shown["open"]) == (1, 0)

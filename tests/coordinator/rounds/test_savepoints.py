"""What breaks a batch's transaction breaks only the request that is at fault."""

from typing import Any

import pytest

from fedrela.coordinator.rounds import group_commit
from fedrela.coordinator.rounds.transaction import TaskTransaction
from fedrela.coordinator.storage import rows
from fedrela.core.wire import Assignment, UpdateReceipt, Wait
from tests.coordinator.conftest import House
from tests.coordinator.rounds.batches import ONE, assignments, caller, delivered


def test_an_assignment_taken_through_another_connection_costs_no_other_device_of_the_batch_its_own(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = any_house.publish(1, goal=5)
    one, two, three = any_house.devices(3)
    look = rows.participation
    taken: list[Assignment | Wait | Exception] = []

    def interrupted(connection: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        had = look(connection, *arguments, **options)
        if not taken:
            monkeypatch.setattr(rows, "participation", look)
            taken.extend(group_commit.check_ins(any_house.coordinator, [caller(one)], 0.0))
        return had

    monkeypatch.setattr(rows, "participation", interrupted)
    asking = [caller(two), caller(one), caller(three)]
    answers = group_commit.check_ins(any_house.coordinator, asking, 0.0)
    assert isinstance(taken[0], Assignment)
    assert [type(answer) for answer in answers] == [Assignment, Wait, Assignment]
    assert group_commit.check_ins(any_house.coordinator, [caller(one)], 0.0) == taken
    assert any_house.operator.task(task_id)["open"] == 3


def test_an_update_that_breaks_its_transaction_breaks_only_itself(
    any_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = any_house.publish(1, goal=2, over_selection=2.0)
    fleet_ = any_house.devices(3)
    assigned = assignments(any_house, fleet_)
    sent = [delivered(any_house, device, assignment) for device, assignment in zip(fleet_, assigned, strict=True)]
    end_assignment = TaskTransaction.end_assignment

    def broken(tx: TaskTransaction, assignment: rows.StoredAssignment, *arguments: Any, **columns: Any) -> None:
        end_assignment(tx, assignment, *arguments, **columns)
        if assignment.id == assigned[1].assignment_id:
            raise ZeroDivisionError

    monkeypatch.setattr(TaskTransaction, "end_assignment", broken)
    answers = group_commit.accept_updates(any_house.coordinator, sent, 0.0)
    assert answers[0] == answers[2] == UpdateReceipt(1)
    assert isinstance(answers[1], ZeroDivisionError)
    shown = any_house.operator.task(task_id)
    assert (shown["phase"], shown["reported"], shown["open"]) == ("aggregating", 2, 1)
    assert any_house.operator.rounds(task_id)[0]["update_bytes"] == 2 * len(ONE)
    assert any_house.coordinator.wake.is_set()

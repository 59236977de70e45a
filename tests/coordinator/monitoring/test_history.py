"""What the operator reads of the past: records and their CSV."""

import csv
import io

import pytest

from fedrela.coordinator.monitoring import history
from fedrela.core.errors import Refused
from tests.coordinator import fleet
from tests.coordinator.conftest import House

UPDATE = fleet.body(fleet.change(1.0))


def test_csv_flattens_failures_and_leaves_the_evaluation_out() -> None:
    records = [
        {"round": 1, "failures": {"timed-out": 2, "not-eligible": 1}, "open": None, "evaluation": None},
        {"round": 2, "failures": {}, "open": 3, "evaluation": {"loss": 0.5}},
    ]
    assert history.as_csv(records) == "round,failures,open\n1,timed-out=2 not-eligible=1,\n2,,3\n"
    assert records[0]["failures"] == {"timed-out": 2, "not-eligible": 1}  # the records are left as they were


def test_csv_quotes_what_would_break_a_row() -> None:
    text = history.as_csv([{"round": 'a,"b"\nc', "failures": {}}])
    assert list(csv.reader(io.StringIO(text))) == [["round", "failures"], ['a,"b"\nc', ""]]


def test_csv_of_nothing_is_a_header() -> None:
    assert history.as_csv([]) == "round\n"


def test_a_round_counts_its_assignments_failures_and_bytes(house: House) -> None:
    task_id = house.publish(2, goal=1)
    first, second = house.devices(2)
    assignment = first.join()
    assert first.fail(assignment, "timed-out").status_code == 204
    assert second.upload(second.join(), UPDATE).is_success
    done, current = history.rounds(house.coordinator, task_id)
    assert (done["round"], done["phase"], done["assignments"], done["updates"]) == (1, "committed", 2, 1)
    assert done["failures"] == {"timed-out": 1}
    assert done["checkpoint_bytes"] == 2 * assignment["checkpoint_bytes"]
    assert done["update_bytes"] == len(UPDATE)
    assert (current["round"], current["assignments"], current["failures"], current["evaluation"]) == (2, 0, {}, None)
    answer = house.operator.http.get(
        f"/v1/admin/tasks/{task_id}/rounds?format=csv", headers={"Authorization": f"Bearer {house.settings.admin_key}"}
    )
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(row["round"], row["assignments"], row["failures"]) for row in table] == [
        ("1", "2", "timed-out=1"),
        ("2", "0", ""),
    ]


def test_tasks_are_told_oldest_first_and_a_finished_one_has_no_phase(house: House) -> None:
    older = house.publish(1, name="older", goal=1)
    house.clock(10.0)
    newer = house.publish(1, name="newer", goal=1)
    assert [record["task_id"] for record in history.tasks(house.coordinator)] == [older, newer]
    house.operator.call("POST", f"/tasks/{older}/cancel")
    cancelled, running = history.tasks(house.coordinator)
    assert (cancelled["status"], "phase" in cancelled) == ("cancelled", False)
    assert (running["phase"], running["rounds"], running["committed_rounds"]) == ("collecting", 1, 0)
    assert history.task(house.coordinator, newer)["task"]["name"] == "newer"


def test_an_unknown_task_is_404(house: House) -> None:
    for read in (history.task, history.rounds):
        with pytest.raises(Refused) as caught:
            read(house.coordinator, "t-unknown")
        assert caught.value.status == 404


def test_devices_come_in_pages_and_no_secret_comes_with_them(house: House) -> None:
    devices = house.devices(5)
    records, after = [], ""
    for size in (2, 2, 1):
        page = history.devices(house.coordinator, 2, after)
        assert len(page) == size
        records += page
        after = page[-1]["device_id"]
    assert history.devices(house.coordinator, 2, after) == []
    assert [record["device_id"] for record in records] == sorted(device.device_id for device in devices)
    (token,) = history.tokens(house.coordinator)
    assert (token["uses"], token["max_uses"]) == (5, 5)
    shown = str(records) + str(token)
    assert not any(device.token in shown for device in devices)
    assert "token_sha256" not in shown
    assert "hash" not in shown

"""What version 0.1 stored is read as what it said: renamed columns, and tasks in its own words."""

import dataclasses
import json
from typing import Any

import pytest
import sqlalchemy as sa

from fedrela.coordinator.storage import blobs, migrations, schema, stored_tasks
from fedrela.core import signing
from fedrela.core.protocol import task_json
from fedrela.core.task import Eligibility, Rounds, Task
from tests.coordinator.conftest import House

FORMER = {
    "min_battery_percent": "require_mains_or_battery_percent",
    "min_client_versions": "min_client_version",
    "max_client_versions": "max_client_version",
}


def as_before(task: Task, **former: Any) -> str:
    """A task as version 0.1 stored it: every value, under its name of then."""
    values = dataclasses.asdict(task)
    del values["requires"], values["round"]["smallest_cohort"]
    values["eligibility"] = {FORMER.get(key, key): value for key, value in values["eligibility"].items()}
    values["eligibility"] |= {"min_client_version": "", "max_client_version": "", **former}
    return json.dumps(values)


ONE = Rounds(smallest_cohort=1)  # what a task that says nothing of it was published as


@pytest.mark.parametrize("seed", [1, 2**70])
def test_a_task_of_one_device_goes_on_as_it_was_published(seed: int) -> None:
    task = Task("t", 9, seed=seed, round=Rounds(goal=1, smallest_cohort=1))
    body = stored_tasks.current(as_before(task))
    assert task_json.decode(body or as_before(task)) == task


def test_a_task_that_says_the_same_under_both_names_is_left_alone() -> None:
    task = Task("t", 9, round=ONE, eligibility=Eligibility(max_cpu_celsius=70.0))
    assert task_json.decode(as_before(task)) == task
    assert stored_tasks.current(as_before(task)) is None
    assert stored_tasks.current(task_json.encode(task).decode()) is None


@pytest.mark.parametrize(
    ("former", "now"),
    [
        ({"require_mains_or_battery_percent": 40.0}, Eligibility(min_battery_percent=40.0)),
        ({"min_client_version": "0.1"}, Eligibility(min_client_versions={"any": "0.1"})),
        ({"max_client_version": "9"}, Eligibility(max_client_versions={"any": "9"})),
    ],
)
def test_a_condition_of_before_still_holds(former: dict[str, Any], now: Eligibility) -> None:
    body = stored_tasks.current(as_before(Task("t", 9), **former))
    assert body is not None
    assert task_json.decode(body) == Task("t", 9, round=ONE, eligibility=now)


def test_a_seed_beyond_what_json_keeps_becomes_a_text() -> None:
    body = stored_tasks.current(as_before(Task("t", 9, seed=2**70)))
    assert body is not None
    assert task_json.decode(body).seed == 2**70


def test_opening_the_store_gives_such_a_task_its_new_body(any_house: House) -> None:
    house, task_id = any_house, any_house.publish(3, goal=2)
    store, table = house.coordinator.store, schema.tasks
    former = as_before(Task("t", 3), require_mains_or_battery_percent=55.0)
    with store.write() as tx:
        tx.execute(sa.update(table).values(task_json=former, task_sha256="0" * 64))
    assert stored_tasks.rewrite(store, house.coordinator.blobs) == 1
    assert stored_tasks.rewrite(store, house.coordinator.blobs) == 0
    with store.read() as view:
        row = view.execute(sa.select(table).where(table.c.id == task_id)).one()
    body = blobs.get(house.coordinator.blobs, blobs.public(row.task_sha256))
    assert body.decode() == row.task_json
    assert signing.sha256(body) == row.task_sha256
    assert task_json.decode(body).eligibility.min_battery_percent == 55.0


def test_columns_are_renamed_once() -> None:
    engine = sa.create_engine("sqlite://")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE devices (id TEXT, last_turn_at DOUBLE)"))
        connection.execute(sa.text("CREATE TABLE accuracies (task_id TEXT, judged_at DOUBLE)"))
        connection.execute(sa.text("INSERT INTO devices VALUES ('d', 7.5)"))
        for _ in range(2):
            migrations.rename_columns(connection)
        assert connection.execute(sa.text("SELECT last_assignment_at FROM devices")).scalar() == 7.5
        assert connection.execute(sa.text("SELECT evaluated_at FROM accuracies")).all() == []

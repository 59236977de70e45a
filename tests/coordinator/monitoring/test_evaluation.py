"""How good the models are: the operator's figures, who may send them, and what the dashboard prints of them."""

import json
import re
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa

from fedrela.coordinator.monitoring import evaluation
from fedrela.coordinator.storage import migrations, schema
from fedrela.core.task import Relabel, Rounds, Task
from tests.coordinator import fleet
from tests.coordinator.conftest import KEY, House, settings_for

FIGURES = {"overall": 0.8612, "many": 0.964, "medium": 0.9441, "few": 0.6473, "examples": 500}


def evaluate(house: House, task_id: str, number: int, **figures: float | None):
    """The operator's report, as the answer."""
    return house.http.put(
        f"/v1/admin/tasks/{task_id}/rounds/{number}/accuracy",
        json=FIGURES | figures,
        headers={"Authorization": f"Bearer {house.settings.admin_key}"},
    )


@pytest.fixture
def task_id(house: House) -> str:
    """A task of three rounds with one done."""
    made = house.publish(3, goal=1)
    (device,) = house.devices(1)
    device.upload(device.join(), fleet.body(fleet.change(1.0)))
    return made


def test_figures_of_a_committed_round_are_told_as_they_came(house: House, task_id: str) -> None:
    assert evaluate(house, task_id, 1).status_code == 204
    first, second = house.operator.call("GET", f"/tasks/{task_id}/rounds")
    assert first["accuracy"] == FIGURES
    assert second["accuracy"] is None


def test_a_later_report_takes_the_place_of_an_earlier_one(house: House, task_id: str) -> None:
    evaluate(house, task_id, 1)
    evaluate(house, task_id, 1, overall=0.5, many=None, medium=None, few=None)
    (first, _) = house.operator.call("GET", f"/tasks/{task_id}/rounds")
    assert first["accuracy"] == {"overall": 0.5, "many": None, "medium": None, "few": None, "examples": 500}


@pytest.mark.parametrize("figures", [{"overall": 1.01}, {"few": -0.1}, {"examples": 0}, {"many": float(2)}])
def test_impossible_figures_are_refused(house: House, task_id: str, figures: dict[str, float]) -> None:
    assert evaluate(house, task_id, 1, **figures).status_code == 400
    assert house.operator.call("GET", f"/tasks/{task_id}/rounds")[0]["accuracy"] is None


def test_an_open_round_and_an_unknown_task_have_no_model_to_judge(house: House, task_id: str) -> None:
    for number in (0, 2, 99):
        assert evaluate(house, task_id, number).json()["code"] == "round-open"
    assert evaluate(house, "t-unknown", 1).status_code == 404


def test_numbers_that_no_database_holds_are_refused(house: House, task_id: str) -> None:
    for number in (-1, 2**31, 2735927877231969304576):
        assert evaluate(house, task_id, number).status_code == 400
    assert evaluate(house, task_id, 1, examples=10**30).status_code == 400
    assert house.operator.call("GET", f"/tasks/{task_id}/rounds")[0]["accuracy"] is None


def test_no_device_can_report_accuracy_by_class(house: House, task_id: str) -> None:
    (device,) = house.devices(1)
    path = f"/v1/admin/tasks/{task_id}/rounds/1/accuracy"
    answer = house.http.put(path, json=FIGURES, headers={"Authorization": f"Bearer {device.token}"})
    assert answer.status_code == 401


def test_the_dashboard_prints_the_same_figures_and_draws_them(house: House, task_id: str) -> None:
    evaluate(house, task_id, 1)
    house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    text = house.http.get(f"/dashboard/tasks/{task_id}/live").text
    row = re.search(r'<th scope="row">1</th>.*?</tr>', text, re.DOTALL)
    assert row is not None
    assert re.findall(r"<td>([\d.]+) %</td>", row[0]) == ["86.1", "96.4", "94.4", "64.7"]
    drawn = house.http.get(f"/dashboard/tasks/{task_id}/accuracy.svg").content
    words = " ".join(ElementTree.fromstring(drawn).itertext())
    for name in ("overall", "many", "medium", "few"):
        assert name in words
    assert "hold-outs" not in words  # nobody sent any


def test_the_live_page_is_told_of_new_figures(house: House, task_id: str) -> None:
    before = evaluation.state(house.coordinator)
    evaluate(house, task_id, 1)
    after = evaluation.state(house.coordinator)
    assert before != after
    evaluate(house, task_id, 1, overall=0.1)
    assert evaluation.state(house.coordinator) != after


def test_a_database_of_the_first_version_gets_the_table(tmp_path) -> None:
    settings = settings_for(tmp_path)
    engine = sa.create_engine(settings.database_url)
    with engine.begin() as connection:
        schema.migrations.create(connection)
        migrations.create_tables(connection)
        schema.accuracies.drop(connection)
        connection.execute(sa.insert(schema.migrations).values(version=1, applied_at=0.0))
        assert migrations.migrate(connection, 1.0) == len(migrations.STEPS)
        assert "accuracies" in sa.inspect(connection).get_table_names()


@pytest.mark.parametrize("loss_sum", [1.7e308, 1e16, -1.0])
def test_totals_whose_sum_would_overflow_are_refused(house: House, loss_sum: float) -> None:
    rounds = Rounds(goal=2, smallest_cohort=2)
    task = Task("ask", 1, round=rounds, relabel=Relabel(enabled=False), local_evaluation=True)
    house.operator.publish(house.bundle, task)
    for device in house.devices(2):
        assignment = device.join()
        report = {"loss_sum": loss_sum, "correct": 1, "examples": 2}
        path = f"/v1/assignments/{assignment['assignment_id']}/evaluation"
        assert house.http.post(path, json=report, auth=device.auth).status_code == 400


def test_no_answer_is_anything_but_json_whatever_an_earlier_version_stored(any_house: House) -> None:
    """An evaluation of 1.7e308 twice was stored as infinity, which is no JSON."""
    house = any_house
    task_id = house.publish(2, goal=1)
    with house.coordinator.store.write() as tx:
        tx.execute(sa.update(schema.rounds).values(evaluation_loss_sum=float("inf"), evaluation_examples=4))

    def refuse(literal: str) -> None:
        raise AssertionError(literal)

    headers = house.operator.headers
    house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    answer = house.http.get(f"/v1/admin/tasks/{task_id}/rounds", headers=headers)
    (record,) = json.loads(answer.text, parse_constant=refuse)
    assert record["evaluation"] == {"loss": None, "accuracy": 0.0, "examples": 4}
    for path in (f"/v1/admin/tasks/{task_id}", "/v1/admin/tasks"):
        json.loads(house.http.get(path, headers=headers).text, parse_constant=refuse)
    assert house.http.get(f"/dashboard/tasks/{task_id}").status_code == 200
    assert house.http.get(f"/v1/admin/tasks/{task_id}/rounds?format=csv", headers=headers).status_code == 200

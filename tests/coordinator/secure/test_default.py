"""What each way of publishing gives where nothing is said of privacy: secure rounds, or a refusal, never plain ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from fedrela.coordinator.admin_client import AdminClient
from fedrela.core import bundle, strict
from fedrela.core.errors import InvalidTask
from fedrela.core.privacy import CLIPPED_SHARE, SECURE_FEATURE, Privacy
from fedrela.core.protocol import task_json
from fedrela.core.task import Relabel, Rounds, Task, from_toml
from tests.coordinator.conftest import KEY, House
from tests.coordinator.secure.players import secure_task

SHORT = {"name": "short", "rounds": 3, "relabel": {"enabled": False}}
AS_TOML = 'name = "short"\nrounds = 3\n[relabel]\nenabled = false\n'


def by_request(house: House, **said: Any) -> Any:
    """The answer to a request of the admin API whose task says so much."""
    opened = bundle.read(house.bundle)
    for sha256, body in opened.blobs().items():
        house.operator.call("PUT", f"/blobs/{sha256}", content=body)
    request = {"task": SHORT | said, "seal": vars(opened.seal), "checkpoint_sha256": opened.seal.weights_sha256}
    return house.http.post("/v1/admin/tasks", json=request, headers=house.operator.headers)


def by_form(house: House, toml: str) -> Any:
    """The answer to the dashboard's form."""
    house.http.post("/login", data={"admin_key": KEY}, follow_redirects=False)
    like = house.publish(1, goal=2, name="model")
    fields = {"toml": toml, "like": like, "weights": "initial"}
    return house.http.post("/dashboard/tasks", data=fields, follow_redirects=False)


def by_file(house: House, toml: str) -> None:
    """As `fedrela publish` does."""
    admin(house).publish(house.bundle, from_toml(toml, trial=True))


def admin(house: House) -> AdminClient:
    """The operator's client, at this coordinator."""
    return AdminClient("http://testserver", KEY, http=connection(house))


def connection(house: House) -> Any:
    """The test client, which does what an httpx client does."""
    return house.http


def stored(house: House, name: str = "short") -> Task:
    """The task as its devices get it."""
    record = house.operator.task(admin(house).find(name)["task_id"])
    return task_json.decode(json.dumps(record["task"]))


WAYS: dict[str, Callable[[House], Any]] = {
    "request": by_request,
    "form": lambda house: by_form(house, AS_TOML),
    "file": lambda house: by_file(house, AS_TOML),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_task_that_says_nothing_is_secure(house: House, way: str) -> None:
    WAYS[way](house)
    task = stored(house)
    assert (task.privacy, task.round.goal) == (Privacy("peers", clipped_share=CLIPPED_SHARE), 16)
    assert task.aggregation.weight_by_examples is False
    assert task.requires == (SECURE_FEATURE,)


def test_an_operator_whose_fleet_is_smaller_than_a_group_is_told_what_is_missing(house: House) -> None:
    task_id = by_request(house).json()["task_id"]
    house.devices(10)
    waits_for = house.operator.task(task_id)["waits_for"]
    assert "needs 14 devices, and only 10 are enrolled: enroll more, or lower privacy.group_minimum" in waits_for


def test_a_goal_below_a_group_is_refused_with_both_ways_out_however_it_comes(house: House) -> None:
    answers = (
        by_request(house, round={"goal": 1, "smallest_cohort": 1}).text,
        by_form(house, AS_TOML + "[round]\ngoal = 1\n").text,
    )
    for text in answers:
        assert "at least 14 devices" in text
        assert "privacy.secure" in text
    with pytest.raises(Exception, match="at least 14 devices"):
        by_file(house, AS_TOML + "[round]\ngoal = 1\n")
    assert [task["name"] for task in house.operator.call("GET", "/tasks")] == ["model"]


def test_what_is_said_counts_and_what_can_t_be_secure_by_itself_is_plain_and_told(house: House) -> None:
    by_request(house, name="said", privacy={"secure": "none"}, round={"goal": 1, "smallest_cohort": 1})
    by_request(house, name="asynchronous", round={"mode": "asynchronous"})
    assert stored(house, "said").privacy.secure == stored(house, "asynchronous").privacy.secure == "none"
    assert house.operator.task(admin(house).find("said")["task_id"])["privacy"].startswith("plain: ")


def test_a_task_of_python_s_own_is_published_as_it_is(house: House) -> None:
    plain = Task("tiny", 3, round=Rounds(goal=1, smallest_cohort=1), relabel=Relabel(enabled=False))
    admin(house).publish(house.bundle, plain)
    assert stored(house, "tiny") == plain
    admin(house).publish(house.bundle, secure_task())
    assert stored(house, "secure") == replace(secure_task(), requires=(SECURE_FEATURE,))


def test_an_older_coordinator_is_asked_for_plain_rounds_in_its_words_and_for_no_others(house: House) -> None:
    """Its answer to `GET /server` names no features; that it takes the task is in tests/frozen."""
    asked: list[tuple[str, Any]] = []

    class Older(AdminClient):
        def _server(self) -> dict[str, Any]:
            return {"dev": False}

        def request(self, method: str, path: str, **arguments: Any) -> Any:
            asked.append((path, arguments))
            return super().request(method, path, **arguments)

    older = Older("http://testserver", KEY, http=connection(house))
    with pytest.raises(InvalidTask, match="no secure rounds") as refusal:
        older.publish(house.bundle, secure_task())
    assert 'privacy.secure = "none"' in refusal.value.remedy
    assert asked == []
    older.publish(house.bundle, Task("tiny", 3, round=Rounds(mode="asynchronous"), relabel=Relabel(enabled=False)))
    (published,) = [arguments["json"]["task"] for path, arguments in asked if path == "/tasks"]
    assert set(json.loads(strict.to_json(Task("tiny", 3)))) - set(published) == {"privacy"}

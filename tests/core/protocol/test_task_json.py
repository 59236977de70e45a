"""A task travels as what differs from the protocol's defaults, and means the same wherever it is read."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import strict
from fedrela.core.errors import InvalidTask
from fedrela.core.protocol import task_json
from fedrela.core.task import Aggregation, Eligibility, LocalTraining, Relabel, Rounds, Task

TASKS = st.builds(
    Task,
    name=st.just("t"),
    rounds=st.integers(1, 50),
    seed=st.integers(0, 10**100 - 1),
    local=st.builds(LocalTraining, epochs=st.integers(1, 9), hyperparameters=st.just({}) | st.just({"lr": 0.5})),
    relabel=st.builds(Relabel, enabled=st.just(False), start=st.integers(1, 9) | st.floats(0.1, 0.9)),
    round=st.builds(
        Rounds, goal=st.integers(5, 20), smallest_cohort=st.integers(1, 5), deadline_seconds=st.floats(1, 1e6)
    ),
    aggregation=st.builds(Aggregation, encoding=st.sampled_from(["float32", "int8"]), clip_norm=st.floats(0, 9)),
    eligibility=st.builds(Eligibility, min_client_versions=st.just({}) | st.just({"page": "0.2"})),
)


@given(TASKS)
def test_a_task_comes_back_as_it_went(task: Task) -> None:
    body = task_json.encode(task)
    assert task_json.decode(body) == task
    assert task_json.encode(task_json.decode(body)) == body


def test_only_what_differs_travels() -> None:
    task = Task("t", 9, local=LocalTraining(epochs=2), round=Rounds(goal=10))
    assert json.loads(task_json.encode(task)) == {
        "name": "t",
        "rounds": 9,
        "local": {"epochs": 2},
        "round": {"smallest_cohort": 5},  # the protocol's default is 1: a task of version 0.1 had no such rule
    }
    assert task_json.encode(dataclasses.replace(task, seed=2**64)).count(b'"seed":"18446744073709551616"') == 1


def test_every_field_has_a_protocol_default_and_these_never_change() -> None:
    """Read this test before touching it: clients that are installed hold these values."""
    whole = dataclasses.asdict(Task("t", 9))
    assert set(whole) - {"name", "rounds"} == set(task_json.PROTOCOL_DEFAULTS)
    for section, values in task_json.PROTOCOL_DEFAULTS.items():
        if isinstance(values, dict):
            assert set(values) == set(whole[section]), section
    written = json.dumps(task_json.PROTOCOL_DEFAULTS, sort_keys=True)
    assert json.loads(written)["round"]["goal"] == 10
    assert json.loads(written)["local"] == {
        "epochs": 5,
        "batch_size": 8,
        "hyperparameters": {},
        "lr_schedule": "constant",
        "max_steps": 0,
        "sampling": "shuffle",
        "synthesis": "none",
    }


def test_a_value_that_is_not_there_is_the_protocol_s_default_whatever_new_tasks_begin_with(monkeypatch) -> None:
    monkeypatch.setattr(task_json, "PROTOCOL_DEFAULTS", {**task_json.PROTOCOL_DEFAULTS, "local": {"epochs": 3}})
    assert task_json.decode('{"name":"t","rounds":9}').local.epochs == 3
    travels = json.loads(task_json.encode(Task("t", 9)))
    assert travels["local"]["epochs"] == 5


def test_what_is_unknown_is_ignored_and_a_whole_task_of_before_is_read() -> None:
    body = '{"name":"t","rounds":9,"color":1,"local":{"epochs":2,"warm":[1]},"round":{"goal":3}}'
    assert task_json.decode(body) == Task(
        "t", 9, local=LocalTraining(epochs=2), round=Rounds(goal=3, smallest_cohort=1)
    )
    task = Task("t", 9, seed=4)
    assert task_json.decode(strict.to_json(task)) == task


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        '{"name":"t"}',
        '{"name":"t","rounds":9,"local":[]}',
        '{"name":"t","rounds":9,"local":null}',
        '{"name":"t","rounds":9,"seed":"007"}',
        '{"name":"t","rounds":9,"seed":""}',
        '{"name":"t","rounds":9,"seed":"-1"}',
        '{"name":"t","rounds":9,"seed":"\u0663"}',
        '{"name":"t","rounds":9,"seed":1.0}',
        '{"name":"t","rounds":9,"requires":"secure"}',
    ],
)
def test_what_is_malformed_is_refused(body: str) -> None:
    with pytest.raises(InvalidTask):
        task_json.decode(body)

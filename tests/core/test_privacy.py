"""`[privacy]`: what a task says nothing of, what can't be secure, and what a stored task means."""

import dataclasses

import numpy as np
import pytest

from fedrela.conformance import message_cases
from fedrela.core.errors import InvalidTask
from fedrela.core.privacy import SECURE_FEATURE, Privacy
from fedrela.core.protocol import task_json
from fedrela.core.secure import fixed_point, secure_tasks
from fedrela.core.secure.fixed_point import Extras
from fedrela.core.task import Aggregation, Rounds, Task, from_toml
from fedrela.emulator import scenario

FILE = 'name = "a"\nrounds = 2\n[round]\ngoal = 16\n'
SECURE = Task("a", 2, round=Rounds(goal=16), privacy=Privacy("peers"))


def test_a_stored_task_without_the_key_is_plain_and_travels_as_it_did():
    assert task_json.decode('{"name":"a","rounds":2}').privacy == Privacy("none")
    assert b"privacy" not in task_json.encode(Task("a", 2))


def test_a_secure_file_weighs_devices_alike_unless_it_says_otherwise():
    assert from_toml(FILE + '[privacy]\nsecure = "none"\n').aggregation.weight_by_examples is True
    peers = FILE + '[privacy]\nsecure = "peers"\n'
    assert from_toml(peers).aggregation.weight_by_examples is False
    assert from_toml(peers + "[aggregation]\nweight_by_examples = true\n").aggregation.weight_by_examples is True


@pytest.mark.parametrize("trial", [False, True])
def test_a_file_that_says_nothing_is_secure_and_can_be_published(trial):
    task = from_toml('name = "a"\nrounds = 2\n[relabel]\nstart = 1\n', trial=trial)
    assert (task.privacy.secure, task.round.goal, task.aggregation.weight_by_examples) == ("peers", 16, False)
    secure_tasks.check(task)
    larger = from_toml('name = "a"\nrounds = 2\n[privacy]\ngroup_target = 20\n', trial=trial)
    assert (larger.privacy.secure, larger.round.goal) == ("peers", 20)


@pytest.mark.parametrize("goal", [1, 13])
def test_a_goal_too_small_for_a_group_is_never_made_plain_in_silence(goal):
    task = from_toml(f'name = "a"\nrounds = 2\n[round]\ngoal = {goal}\n', trial=True)
    with pytest.raises(InvalidTask, match=f"goal is {goal}.*at least 14") as refusal:
        secure_tasks.check(task)
    assert 'privacy.secure = "none"' in refusal.value.remedy


def test_what_a_file_says_is_what_it_means():
    assert from_toml(FILE + '[privacy]\nsecure = "none"\n').privacy.secure == "none"
    assert from_toml(FILE + 'mode = "asynchronous"\n').privacy.secure == "none"  # its owners are told
    asked = from_toml(FILE + 'mode = "asynchronous"\n[privacy]\nsecure = "peers"\n')
    with pytest.raises(InvalidTask, match="asynchronous"):
        secure_tasks.check(asked)


def test_a_malformed_table_is_named_by_its_reader_and_not_by_what_completes_it():
    for text, says in (("privacy = 3", "privacy is"), ("[privacy]\ngroup_target = 'many'", r"privacy\.group_target")):
        with pytest.raises(InvalidTask, match=says):
            from_toml('name = "a"\nrounds = 2\n' + text)


def test_a_scenario_means_what_a_task_file_does_and_a_recorded_one_what_it_meant():
    text = 'name = "a"\ndevices = 20\n[task]\nname = "a"\nrounds = 2\n[task.relabel]\nstart = 1\n'
    assert scenario.from_toml(text).task == from_toml('name = "a"\nrounds = 2\n[relabel]\nstart = 1\n')
    recorded = scenario.from_mapping({"name": "a", "devices": 20, "task": {"name": "a", "rounds": 2}})
    assert recorded.task.privacy == Privacy("none")
    assert all(scenario.load(name)[0].task.privacy.secure == "none" for name in scenario.shipped())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"round": Rounds(goal=16, mode="asynchronous")}, "asynchronous"),
        ({"aggregation": Aggregation(encoding="int8")}, "int8"),
        ({"aggregation": Aggregation(clip_norm=1.0)}, "clipped"),
        ({"round": Rounds(goal=13)}, "at least 14"),
        ({"aggregation": Aggregation(rule="median")}, "4 groups"),
        ({"aggregation": Aggregation(rule="median"), "round": Rounds(goal=200, minimum=93)}, "4 groups"),
    ],
)
def test_what_can_t_be_secure_is_refused_with_both_ways_out(settings, problem):
    task = dataclasses.replace(SECURE, **settings)
    with pytest.raises(InvalidTask, match=problem) as refusal:
        secure_tasks.check(task)
    assert 'privacy.secure = "none"' in refusal.value.remedy
    assert len(refusal.value.remedy.split(";")) > 1
    secure_tasks.check(dataclasses.replace(task, privacy=Privacy("none")))


def test_what_can_be_is_not_refused_and_names_what_it_takes():
    secure_tasks.check(SECURE)
    robust = Aggregation(rule="median")
    secure_tasks.check(dataclasses.replace(SECURE, aggregation=robust, round=Rounds(goal=94, minimum=94)))
    assert secure_tasks.requiring(SECURE).requires == (SECURE_FEATURE,)
    assert secure_tasks.requiring(secure_tasks.requiring(SECURE)).requires == (SECURE_FEATURE,)
    assert secure_tasks.requiring(Task("a", 2)).requires == ()


def test_parameters_and_statistics_are_a_block_each_and_come_back():
    manifest = message_cases.manifest()
    layout = secure_tasks.layout(SECURE, manifest, 0)
    assert [(block.size, block.clip_norm) for block in layout.blocks] == [(12, 64.0), (3, 1024.0)]
    assert (layout.classes, layout.largest_group) == (3, 31)
    change = {"running": np.float32([3, 4, 5]), "w": np.arange(12, dtype=np.float32).reshape(3, 4)}
    blocks = secure_tasks.flatten(change, manifest)
    vector = fixed_point.encode(layout, blocks, Extras(1.0), np.zeros(15, np.float32))
    back = secure_tasks.unflatten(fixed_point.decode(layout, vector, members=1).blocks, manifest)
    assert {name: array.tolist() for name, array in back.items()} == {n: a.tolist() for n, a in change.items()}


def test_weights_are_one_or_the_share_of_what_counts_at_most():
    assert secure_tasks.weight(Aggregation(weight_by_examples=False), 7) == 1.0
    counted = Aggregation(max_examples=100)
    assert [secure_tasks.weight(counted, examples) for examples in (7, 100, 5000)] == [0.07, 1.0, 1.0]

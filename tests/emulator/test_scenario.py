"""Scenarios: what is accepted, what is refused and why."""

import math
from functools import partial

import pytest

from fedrela.core.errors import InvalidTask
from fedrela.emulator.scenario import (
    Data,
    DeviceClass,
    Faults,
    InvalidScenario,
    MaliciousClass,
    Scenario,
    WakeSchedule,
    from_toml,
    load,
    shipped,
)


def test_the_shipped_scenarios_load_and_say_what_they_are():
    assert {"trial", "ci", "daily", "malicious", "flaky-network", "huge"} <= set(shipped())
    for name in shipped():
        scenario, _ = load(name)
        assert scenario.name == name
        assert scenario.description
        assert scenario.task is not None
        assert scenario.export


def test_attackers_are_read_under_their_former_key_and_not_under_both():
    attackers = [f'[[{key}]]\nattack = "nan"\nshare = 0.1\n' for key in ("malicious", "hostile")]
    now, before = (from_toml(f'name = "a"\ndevices = 3\n{table}') for table in attackers)
    assert before == now
    assert now.malicious == (MaliciousClass("nan", 0.1),)
    with pytest.raises(InvalidScenario, match="both malicious and hostile"):
        from_toml('name = "a"\ndevices = 3\n' + "".join(attackers))


def test_a_shipped_scenario_is_found_by_its_former_name_which_is_not_listed():
    assert load("hostile") == load("malicious")
    assert "hostile" not in shipped()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('name = "a"', "devices"),
        ('name = "a"\ndevices = 0', "devices"),
        ('name = "a"\ndevices = 3\nspeed = 1', "speed"),
        ('name = "a"\ndevices = "3"', "devices"),
        ('name = "a"\ndevices = 3\n[data]\nalpha = 0', "data.alpha"),
        ('name = "a"\ndevices = 3\n[data]\nprofile = "linear"', "data.profile"),
        ('name = "a"\ndevices = 3\n[faults]\ncrash = 1.5', "faults.crash"),
        ('name = "a"\ndevices = 3\n[[device]]\nname = "x"\nawake = "late"', "late"),
        ('name = "a"\ndevices = 3\n' + 2 * '[[malicious]]\nattack = "nan"\nshare = 0.7\n', "1.4"),
        ('name = "a"\ndevices = 3\nbundle = "b"\nexport = ["c"]', "bundle"),
        ("name = ", "TOML"),
    ],
)  # fmt: skip
def test_a_faulty_scenario_is_refused_with_the_name_of_the_fault(text, names):
    with pytest.raises(InvalidScenario, match=names):
        from_toml(text)


@pytest.mark.parametrize("value", [math.inf, math.nan, -math.inf])
@pytest.mark.parametrize(
    ("kind", "key", "path"),
    [
        (Data, "alpha", "data.alpha"),
        (DeviceClass, "steps_per_second", "device.steps_per_second"),
        (Faults, "delay_seconds", "faults.delay_seconds"),
        (partial(MaliciousClass, "scale", 0.1), "factor", "malicious.factor"),
        (WakeSchedule, "poll_seconds", "wake.poll_seconds"),
        (partial(Scenario, "a", 3), "max_hours", "max_hours"),
    ],
)
def test_a_number_that_is_not_finite_is_refused_in_python_too(kind, key, path, value):
    with pytest.raises(InvalidScenario, match=f"{path} is not finite") as refused:
        kind(**{key: value})
    assert refused.value.remedy == "use a finite number"


def test_a_wrong_type_is_refused_in_python_too():
    with pytest.raises(InvalidScenario, match="devices is a str"):
        Scenario("a", "3")


def test_a_faulty_task_in_a_scenario_is_refused():
    with pytest.raises(InvalidScenario, match=r"task\.rounds"):
        from_toml('name = "a"\ndevices = 3\n[task]\nname = "t"\nrounds = 0')
    with pytest.raises(InvalidTask, match="start"):
        from_toml('name = "a"\ndevices = 3\n[task]\nname = "t"\nrounds = 2\n[task.relabel]\nstart = 5')


def test_an_unknown_scenario_names_those_that_exist():
    with pytest.raises(InvalidScenario, match="flaky-network"):
        load("no-such-scenario")

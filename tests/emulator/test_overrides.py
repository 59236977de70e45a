"""What a caller says otherwise than the scenario, and the scenario as a file of all its keys."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fedrela.core.errors import InvalidInput
from fedrela.emulator import overrides, scenario_toml
from fedrela.emulator.cli import _remark, app
from fedrela.emulator.scenario import Faults, MaliciousClass, Scenario, from_toml, load, shipped
from tests.core.protocol.test_task_json import TASKS

SCENARIOS = {name: load(name)[0] for name in shipped()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_shipped_scenario_with_all_keys_is_read_as_the_very_same(name: str) -> None:
    assert from_toml(scenario_toml.text(SCENARIOS[name])) == SCENARIOS[name]


@given(TASKS, st.floats(0, 1), st.text(max_size=20), st.booleans())
def test_so_is_any_other(task, share: float, description: str, attacked: bool) -> None:
    scenario = replace(
        SCENARIOS["trial"],
        task=task,
        description=description,
        faults=Faults(drop_out=share),
        malicious=(MaliciousClass("scale", share),) if attacked else (),
    )
    assert from_toml(scenario_toml.text(scenario)) == scenario


def test_longer_training_changes_the_task_alone():
    trial = SCENARIOS["trial"]
    changed = overrides.trained_for(trial, "", rounds=40, epochs=4, lr=0.5)
    assert (changed.task.rounds, changed.task.local.epochs) == (40, 4)
    assert changed.task.local.hyperparameters == trial.task.local.hyperparameters | {"lr": 0.5}
    back = replace(changed.task, rounds=10, local=trial.task.local)
    assert replace(changed, task=back) == trial
    assert overrides.trained_for(trial, "", epochs=3).task.rounds == 10
    assert overrides.trained_for(trial, "published") is trial


@pytest.mark.parametrize("change", [{"rounds": 3}, {"epochs": 3}, {"lr": 0.1}])
@pytest.mark.parametrize("scenario", [SCENARIOS["trial"], Scenario("x", 2)])
def test_a_task_that_is_published_or_not_there_is_not_changed(scenario: Scenario, change) -> None:
    with pytest.raises(InvalidInput, match="no task of this run's own"):
        overrides.trained_for(scenario, "published" if scenario.task else "", **change)


def test_the_verb_shows_what_it_would_play():
    shown = CliRunner().invoke(app, ["emulate", "trial", "--show", "--rounds", "7", "--no-relabel", "--seed", "5"])
    assert shown.exit_code == 0
    played = from_toml(shown.stdout)
    own = CliRunner().invoke(app, ["emulate", "trial", "--show", "--bundle", "mine", "--data", "photos"])
    named = from_toml(own.stdout)
    assert (named.bundle, named.export, named.data.profile) == (str(Path("mine").resolve()), (), "as-is")
    assert named.data.dataset == "photos"
    assert (played.seed, played.task.rounds, played.task.relabel.enabled) == (5, 7, False)


@pytest.mark.parametrize(("recalls", "told"), [([1.0, 0.0, 0.0], True), ([0.0] * 3, True), ([0.9, 0.1, 0.0], False)])
def test_a_model_that_gives_one_class_to_all_is_said_to_have_learned_nothing(recalls, told: bool) -> None:
    assert bool(_remark([*recalls, float("nan")])) is told

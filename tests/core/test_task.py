"""Task files: defaults, the re-label calendar, and every impossible value."""

import math
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import lr_schedule, strict
from fedrela.core.errors import InvalidTask
from fedrela.core.task import Aggregation, Eligibility, LocalTraining, Relabel, Rounds, Task, from_toml
from fedrela.core.wire import FEATURES

MINIMAL = 'name = "digits"\nrounds = 10\n'


def test_a_minimal_file_has_the_papers_defaults():
    task = from_toml(MINIMAL)
    assert (task.local.epochs, task.local.batch_size) == (5, 8)
    assert (task.relabel.threshold_percent, task.relabel.passes, task.relabel.lr_scale) == (5, 5, 0.1)


def test_json_round_trip():
    task = from_toml(MINIMAL + "[local]\nhyperparameters = {lr = 0.03}\n[relabel]\nstart = 7")
    assert strict.from_json(Task, strict.to_json(task)) == task


@pytest.mark.parametrize(
    ("start", "rounds", "first"), [(0.8, 10, 9), (0.5, 10, 6), (0.9, 500, 451), (7, 10, 7), (1, 10, 1)]
)
def test_start_is_a_round_or_a_share(start, rounds, first):
    assert Relabel(start=start).start_round(rounds) == first


def test_one_shot_and_periodic_generations():
    once, every_two = Relabel(start=3), Relabel(start=3, period=2)
    assert [once.generation(r, 8) for r in range(1, 9)] == [0, 0, 1, 1, 1, 1, 1, 1]
    assert [every_two.generation(r, 8) for r in range(1, 9)] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [Relabel(enabled=False).generation(r, 8) for r in range(1, 9)] == [0] * 8


def test_the_learning_rate_falls_from_the_start_on():
    task = from_toml(MINIMAL + "[relabel]\nstart = 4")
    assert [task.lr_factor(r) for r in (1, 3, 4, 10)] == [1, 1, 0.1, 0.1]
    assert from_toml(MINIMAL + "[relabel]\nenabled = false").lr_factor(10) == 1


@pytest.mark.parametrize("trial", [False, True])
def test_a_schedule_is_asked_of_clients_and_an_absent_one_is_constant(trial):
    scheduled = from_toml(MINIMAL + '[local]\nlr_schedule = "cosine"', trial=trial)
    assert scheduled.requires == ("lr-schedule",)
    assert set(scheduled.requires) <= set(FEATURES)
    plain = from_toml(MINIMAL, trial=trial)
    assert (plain.local.lr_schedule, plain.requires) == ("constant", ())
    assert plain == from_toml(MINIMAL + '[local]\nlr_schedule = "constant"', trial=trial)
    named = from_toml('requires = ["lr-schedule"]\n' + MINIMAL + '[local]\nlr_schedule = "step"', trial=trial)
    assert named.requires == ("lr-schedule",)


def test_a_schedule_that_clients_would_overlook_is_no_task():
    with pytest.raises(InvalidTask, match="older clients would overlook"):
        Task("t", 9, local=LocalTraining(lr_schedule="step"))


def test_a_schedule_falls_and_re_labels_come_on_top():
    def factors(schedule, relabel):
        task = Task("t", 10, local=LocalTraining(lr_schedule=schedule), relabel=relabel, requires=("lr-schedule",))
        return [task.lr_factor(number) for number in range(1, 11)]

    plain, late = Relabel(enabled=False), Relabel(start=6, lr_scale=0.5)
    assert factors("step", plain) == [1.0] * 8 + [0.1] * 2
    assert factors("step", late) == [1.0] * 5 + [0.5] * 3 + [0.05] * 2
    cosine = factors("cosine", plain)
    assert cosine == pytest.approx([(1 + math.cos(math.pi * done / 10)) / 2 for done in range(10)], rel=1e-13)
    assert cosine == sorted(cosine, reverse=True)
    assert factors("cosine", late) == [*cosine[:5], *(factor * 0.5 for factor in cosine[5:])]


@given(st.integers(1, 10**6), st.data())
def test_a_step_comes_with_the_default_re_labels_and_a_cosine_stays_in_its_bounds(rounds, data):
    number = data.draw(st.integers(1, rounds))
    assert (lr_schedule.factor("step", number, rounds) < 1) == (number >= Relabel().start_round(rounds))
    exact = math.cos(math.pi / 2 * (number - 1) / rounds) ** 2
    assert 0 < lr_schedule.factor("cosine", number, rounds) <= 1
    assert lr_schedule.factor("cosine", number, rounds) == pytest.approx(exact, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ("speed = 1", "unknown key 'speed'"),
        ("[local]\nepoch = 1", "unknown key 'local.epoch'"),
        ("[local]\nepochs = 0", "local.epochs"),
        ("[local]\nbatch_size = 0", "local.batch_size"),
        ("[local]\nmax_steps = -1", "local.max_steps"),
        ('[local]\nlr_schedule = "linear"', "local.lr_schedule"),
        ("[relabel]\nstart = 0", "relabel.start"),
        ("[relabel]\nstart = 1.0", "relabel.start"),
        ("[relabel]\nstart = 11", "after the last round"),
        ("[relabel]\nperiod = -1", "relabel.period"),
        ("[relabel]\nthreshold_percent = 101", "threshold_percent"),
        ("[relabel]\npasses = 0", "passes"),
        ("[relabel]\nlr_scale = 0", "lr_scale"),
        ("[round]\ngoal = 0", "round.goal"),
        ("[round]\ngoal = 2\nminimum = 3", "round.minimum"),
        ("[round]\nover_selection = 0.5", "over_selection"),
        ("[round]\ndeadline_seconds = 0", "deadline_seconds"),
        ("[round]\nretries = -1", "retries"),
        ('[round]\nmode = "asynchronous"\n[aggregation]\nrule = "median"', "whole cohort"),
        ('[aggregation]\nrule = "mode"', "aggregation.rule"),
        ("[aggregation]\nmax_examples = 0", "max_examples"),
        ("[aggregation]\nclip_norm = -1", "clip_norm"),
        ("[aggregation]\ntrim_fraction = 0.5", "trim_fraction"),
        ("[aggregation]\nserver_lr = 0", "server_lr"),
        ("[aggregation]\nserver_momentum = 1", "server_momentum"),
        ("[aggregation]\nserver_epsilon = 0", "server_epsilon"),
        ("[aggregation]\ntop_k_fraction = 0", "top_k_fraction"),
        ("[eligibility]\ndevice_fraction = 0", "device_fraction"),
        ("[eligibility]\nmin_battery_percent = 101", "min_battery_percent"),
        ("[eligibility]\nmax_cpu_celsius = -1", "max_cpu_celsius"),
        ("[eligibility]\nmin_free_disk_bytes = -1", "min_free_disk_bytes"),
        ('[eligibility]\nhours = "22-06"', 'write it like "22:00-06:00"'),
        ("[local]\nhyperparameters = {lr = nan}", r"local\.hyperparameters\.lr is not finite"),
        ("[local]\nhyperparameters = {lr = inf}", r"local\.hyperparameters\.lr is not finite"),
        ("[local]\nhyperparameters = {lr = '1'}", r"local\.hyperparameters\.lr is a str"),
        ("[relabel]\nthreshold_percent = nan", r"relabel\.threshold_percent is not finite"),
        ("[aggregation]\nclip_norm = inf", r"aggregation\.clip_norm is not finite"),
        ("[eligibility]\nmin_examples = 0", "min_examples"),
        ("[eligibility]\nmin_separation_seconds = -1", "min_separation_seconds"),
        ("[eligibility", "not TOML"),
    ],
)
def test_impossible_tasks_are_refused(extra, says):
    with pytest.raises(InvalidTask, match=says) as caught:
        from_toml(MINIMAL + extra)
    assert caught.value.remedy


NUMBERS = [
    (section, field.name)
    for section in (LocalTraining, Relabel, Rounds, Aggregation, Eligibility)
    for field in fields(section)
    if field.type in (int, float, int | float)
]


@pytest.mark.parametrize(("section", "name"), NUMBERS, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", True, None])
def test_a_task_made_in_python_takes_no_number_that_a_file_could_not_hold(section, name, value):
    with pytest.raises(InvalidTask, match=name):
        section(**{name: value})


def test_hyperparameters_made_in_python_are_finite_numbers_by_name():
    for wrong in ({"lr": math.nan}, {"lr": "0.1"}, {1: 0.1}, [("lr", 0.1)]):
        with pytest.raises(InvalidTask, match=r"local\.hyperparameters"):
            LocalTraining(hyperparameters=wrong)


def test_sections_of_another_kind_are_refused():
    with pytest.raises(InvalidTask, match="round is a"):
        Task("a", 1, round=Relabel())


@pytest.mark.parametrize(
    "hours", ["22-06", "24:00-06:00", "22:00", "22:60-06:00", "22:00-06:00 ", "٢2:00-06:00", "22:00-22:00"]
)
def test_malformed_hours(hours):
    with pytest.raises(InvalidTask, match=r"eligibility\.hours"):
        Eligibility(hours=hours)


@pytest.mark.parametrize(
    "text", ['name = "a b"\nrounds = 1', 'name = ""\nrounds = 1', 'name = "../x"\nrounds = 1', 'name = "é"\nrounds = 1']
)
def test_names_are_safe_to_put_in_a_path(text):
    with pytest.raises(InvalidTask, match="name"):
        from_toml(text)


@pytest.mark.parametrize("text", ['name = "a"\nrounds = 0', 'name = "a"\nrounds = 1\nseed = -1'])
def test_rounds_and_seed_have_bounds(text):
    with pytest.raises(InvalidTask):
        from_toml(text)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 9))
def test_generations_never_fall(rounds, start, period):
    relabel = Relabel(start=start, period=period)
    generations = [relabel.generation(r, rounds) for r in range(1, rounds + 1)]
    assert generations == sorted(generations)
    assert all((generation > 0) == (number >= start) for number, generation in enumerate(generations, 1))


@pytest.mark.parametrize("goal", [1, 4])
def test_a_small_goal_names_its_smallest_cohort_itself_or_is_a_trial(goal: int) -> None:
    text = f'name = "t"\nrounds = 9\n[round]\ngoal = {goal}'
    with pytest.raises(InvalidTask, match=f"smallest_cohort = {goal}"):
        from_toml(text)
    assert from_toml(text, trial=True).round.smallest_cohort == goal
    assert from_toml(text + "\nsmallest_cohort = 1").round.smallest_cohort == 1
    with pytest.raises(InvalidTask, match="smallest_cohort"):
        from_toml(text + "\nsmallest_cohort = 5", trial=True)


@pytest.mark.parametrize("text", ["", "[round]\ngoal = 12", "[round]\nminimum = 7"])
def test_a_trial_changes_nothing_else(text: str) -> None:
    text = 'name = "t"\nrounds = 9\n' + text
    assert from_toml(text, trial=True) == from_toml(text)
    assert from_toml(text).round.smallest_cohort == 5

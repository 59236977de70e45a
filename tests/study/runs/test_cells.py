"""A cell's name says everything that its result depends on, and nothing else."""

import dataclasses

import pytest

from fedrela.study.config import InvalidStudy, Setting, Study, Training, Variant, from_toml, load, shipped
from fedrela.study.runs.cells import expand

STUDY = Study("s", seeds=(1, 2), methods=("fedavg", "focal"), references=("centralised",))


def keys(study, data="d" * 64):
    return [cell.key for cell in expand(study, data)]


def test_every_combination_is_there_once_trunk_before_branches():
    cells = list(expand(STUDY, "d"))
    assert len(cells) == 2 * (2 * 3 + 1)
    assert [cell.arm for cell in cells[:3]] == ["trunk", "kept", "relabeled"]
    assert len(set(keys(STUDY))) == len(cells)
    assert len({cell.trunk_key for cell in cells[:3]}) == 1


def test_labels_do_not_rename_a_cell():
    renamed = dataclasses.replace(STUDY, name="other", setting=(Setting("other name"),), variant=(Variant("other"),))
    assert keys(renamed) == keys(STUDY)


@pytest.mark.parametrize(
    "change",
    [
        {"setting": (Setting("50:1, α 0.3", imbalance=100),)},
        {"setting": (Setting("50:1, α 0.3", alpha=0.1),)},
        {"training": Training(lr=0.1)},
        {"seeds": (3, 4)},
    ],
)
def test_what_matters_renames_every_cell(change):
    assert not set(keys(STUDY)) & set(keys(dataclasses.replace(STUDY, **change)))


def test_other_data_are_other_cells():
    assert not set(keys(STUDY, "a")) & set(keys(STUDY, "b"))


def test_a_trunk_does_not_depend_on_what_follows():
    longer = dataclasses.replace(STUDY, training=Training(rounds=60), variant=(Variant(start=40),))
    first, second = next(iter(expand(STUDY, "d"))), next(iter(expand(longer, "d")))
    assert first.key == second.key
    assert keys(STUDY)[1] != keys(longer)[1]


def test_variants_share_the_branch_without_re_labels():
    two = dataclasses.replace(STUDY, variant=(Variant(), Variant("τ 20", threshold_percent=20)))
    arms = [cell.arm for cell in expand(two, "d") if cell.seed == 1 and cell.method == "fedavg"]
    assert arms == ["trunk", "kept", "relabeled", "relabeled"]
    slower = dataclasses.replace(STUDY, variant=(Variant(), Variant("lr", lr_scale=1.0)))
    arms = [cell.arm for cell in expand(slower, "d") if cell.seed == 1 and cell.method == "fedavg"]
    assert arms == ["trunk", "kept", "relabeled", "kept", "relabeled"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('name = "a"\nrubbish = 1', "rubbish"),
        ('name = "a"\nmethods = ["fedsgd"]', "fedsgd"),
        ('name = "a"\nseeds = []', "no seed"),
        ('name = "a"\n[[variant]]\nstart = 50', "after round 50"),
        ('name = "a"\n[[variant]]\nmethods = ["focal"]', "focal"),
        ('name = "a"\n[[setting]]\nname = "x"\nalpha = 0', "alpha"),
        ('name = "a"\n[[setting]]\nname = "x"\ndevices = 3\ncohort = 4', "cohort"),
        ('name = "a"\nonly_seeds = { focal = [1] }', "only_seeds names focal"),
        ('name = "a"\nonly_seeds = { fedavg = [9] }', "only_seeds.fedavg names 9"),
        ("name = ", "TOML"),
    ],
)
def test_a_wrong_study_is_refused_by_name(text, problem):
    with pytest.raises(InvalidStudy, match=problem):
        from_toml(text)


@pytest.mark.parametrize("name", shipped())
def test_shipped_studies_load(name):
    study, _ = load(name)
    assert list(expand(study, "d"))


def test_an_unknown_study_names_the_known():
    with pytest.raises(InvalidStudy, match="quick"):
        load("nonsense")


def test_a_method_or_reference_can_run_with_some_seeds_only():
    one = dataclasses.replace(STUDY, only_seeds={"focal": (2,), "centralised": (1,)})
    pairs = {(cell.method, cell.seed) for cell in expand(one, "d")}
    assert pairs == {("fedavg", 1), ("fedavg", 2), ("focal", 2), ("centralised", 1)}
    assert set(keys(one)) < set(keys(STUDY))

"""A treatment names its branch and nothing else, and what the study's own loop can't do is refused."""

import dataclasses

import pytest

from fedrela.study.config import InvalidStudy, Study, Variant, from_toml
from fedrela.study.runs.cells import branch_settings, expand
from fedrela.study.treatments import Treatment

OTHERS = {
    "after": 3,
    "relabels": "none",
    "counts": "fleet",
    "most_percent": 5.0,
    "program": "oracle",
    "epsilon": 8.0,
    "synthesis": "smote",
    "correction": "scaffold",
    "noise_multiplier": 0.1,
}


def cells(treatment):
    return {cell.arm: cell for cell in expand(Study("s", seeds=(1,), variant=(Variant(treatment=treatment),)), "d")}


def test_every_field_renames_the_branch_with_it_and_none_the_trunk():
    assert set(OTHERS) == {field.name for field in dataclasses.fields(Treatment)}
    plain, needed = cells(Treatment()), {"epsilon": {"program": "oracle"}}
    for name, value in OTHERS.items():
        beside = cells(Treatment(**needed.get(name, {})))
        treated = cells(Treatment(**{name: value}, **needed.get(name, {})))
        assert treated["relabeled"].key != beside["relabeled"].key, name
        assert treated["trunk"].key == plain["trunk"].key
        assert (treated["kept"].key == plain["kept"].key) == (name != "after")


def test_a_branch_of_the_own_loop_is_another_than_the_fleet_s():
    theirs, ours = cells(None), cells(Treatment())
    assert theirs["trunk"].key == ours["trunk"].key
    assert theirs["kept"].key != ours["kept"].key
    assert theirs["relabeled"].key != ours["relabeled"].key


def test_a_line_says_what_a_cell_s_name_says():
    for treatment in (None, Treatment(), Treatment(after=2, relabels="soft")):
        for arm in ("kept", "relabeled"):
            cell = cells(treatment)[arm]
            assert ("treatment" in cell.shown()["variant"]) == (treatment is not None)
            assert branch_settings(arm, cell.shown()["variant"]).items() <= cell._own().items()


@pytest.mark.parametrize(
    ("variant", "problem"),
    [
        ('treatment = { relabels = "all" }', r"treatment\.relabels"),
        ("treatment = { most_percent = 101.0 }", r"treatment\.most_percent"),
        ("treatment = { unknown = 1 }", r"treatment\.unknown"),
        ("period = 3\ntreatment = {}", "a period and a treatment"),
        ('treatment = { program = "nothing" }', "trains by nothing"),
        ('treatment = { program = "fedetf" }', "trains by fedetf"),
        ('treatment = { relabels = "soft", synthesis = "mixup" }', "mixes soft labels"),
        ('treatment = { relabels = "soft", most_percent = 5.0 }', "limits how many labels move"),
        ("treatment = { epsilon = 8.0 }", "counts that nothing uses"),
        ("treatment = { after = 10 }", "changes nothing in its 10 rounds"),
    ],
)
def test_what_it_can_t_do_is_refused(variant, problem):
    with pytest.raises(InvalidStudy, match=problem):
        from_toml(f"name = 'a'\n[[variant]]\nname = 'v'\n{variant}")


@pytest.mark.parametrize("setting", ["cohort = 5", "secure = true"])
def test_cohorts_and_secure_rounds_are_the_fleet_s_alone(setting):
    text = f"name = 'a'\n[[setting]]\nname = 'whole'\n[[setting]]\nname = 'other'\n{setting}\n[[variant]]\n"
    text += "name = 'v'\ntreatment = {}\n"
    with pytest.raises(InvalidStudy, match="no cohorts and no secure rounds: other"):
        from_toml(text)
    assert from_toml(text + "settings = ['whole']").variant[0].treatment == Treatment()

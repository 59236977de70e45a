"""Parts of a study hold the study's own cells, and add up to it."""

import dataclasses

import pytest

from fedrela.study.config import InvalidStudy, Setting, Study, Variant
from fedrela.study.parts import Only, narrowed
from fedrela.study.runs.cells import expand

STUDY = Study(
    "s",
    seeds=(1, 2),
    methods=("fedavg", "focal"),
    references=("centralised", "centralised-balanced"),
    only_seeds={"centralised": (2,)},
    setting=(Setting("50:1, α 0.1", alpha=0.1), Setting("50:1, α 0.3"), Setting("step 50:1", profile="step")),
    variant=(
        Variant(),
        Variant("τ 20", threshold_percent=20, methods=("focal",)),
        Variant("1 pass", passes=1, settings=("50:1, α 0.1",)),
    ),
)


def cells(only):
    return list(expand(narrowed(STUDY, only), "d"))


def keys(only):
    return {cell.key for cell in cells(only)}


def test_parts_of_a_study_add_up_to_the_whole():
    parts = [keys(Only((seed,), (method,))) for seed in (1, 2) for method in STUDY.methods]
    parts += [keys(Only(references=(reference,))) for reference in STUDY.references]
    assert set.union(*parts) == keys(Only())
    assert sum(map(len, parts)) == len(keys(Only()))
    by_setting = [keys(Only(settings=(setting.name,))) for setting in STUDY.setting]
    assert set.union(*by_setting) == keys(Only())
    assert sum(map(len, by_setting)) == len(keys(Only()))


def test_naming_methods_leaves_references_out_and_the_other_way_round():
    assert {cell.method for cell in cells(Only(methods=("focal",)))} == {"focal"}
    assert {cell.method for cell in cells(Only(references=("centralised",)))} == {"centralised"}
    both = Only(methods=("fedavg",), references=("centralised",))
    assert {cell.method for cell in cells(both)} == {"fedavg", "centralised"}
    assert {cell.method for cell in cells(Only((1,)))} == {"fedavg", "focal", "centralised-balanced"}


def test_a_setting_is_known_by_any_part_of_its_name_that_no_other_has():
    assert {cell.setting.name for cell in cells(Only(settings=("step",)))} == {"step 50:1"}
    assert {cell.setting.name for cell in cells(Only(settings=("0.3", "step")))} == {"50:1, α 0.3", "step 50:1"}
    with pytest.raises(InvalidStudy, match="2 settings"):
        narrowed(STUDY, Only(settings=("α",)))
    exact = dataclasses.replace(STUDY, setting=(Setting("a"), Setting("ab")), variant=(Variant(),))
    assert [setting.name for setting in narrowed(exact, Only(settings=("a",))).setting] == ["a"]


@pytest.mark.parametrize(
    ("only", "told"),
    [
        (Only((7,)), "no 7"),
        (Only(methods=("smote",)), "no smote"),
        (Only(references=("oracle",)), "no oracle"),
        (Only(settings=("1000:1",)), "0 settings"),
        (Only((1,), references=("centralised",)), "no cell"),
    ],
)
def test_what_a_study_does_not_have_is_refused(only, told):
    with pytest.raises(InvalidStudy, match=told):
        narrowed(STUDY, only)


def test_a_study_without_references_says_so():
    with pytest.raises(InvalidStudy, match="it has none"):
        narrowed(Study("s"), Only(references=("centralised",)))

"""Parts of a study hold the study's own cells, and add up to it."""

import dataclasses

import pytest

from fedrela.study.config import InvalidStudy, Setting, Study, Variant
from fedrela.study.runs.cells import expand
from fedrela.study.selection import Selection, select

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


def cells(selection):
    return list(expand(select(STUDY, selection), "d"))


def keys(selection):
    return {cell.key for cell in cells(selection)}


def test_parts_of_a_study_add_up_to_the_whole():
    parts = [keys(Selection((seed,), (method,))) for seed in (1, 2) for method in STUDY.methods]
    parts += [keys(Selection(references=(reference,))) for reference in STUDY.references]
    assert set.union(*parts) == keys(Selection())
    assert sum(map(len, parts)) == len(keys(Selection()))
    by_setting = [keys(Selection(settings=(setting.name,))) for setting in STUDY.setting]
    assert set.union(*by_setting) == keys(Selection())
    assert sum(map(len, by_setting)) == len(keys(Selection()))


def test_naming_methods_leaves_references_out_and_the_other_way_round():
    assert {cell.method for cell in cells(Selection(methods=("focal",)))} == {"focal"}
    assert {cell.method for cell in cells(Selection(references=("centralised",)))} == {"centralised"}
    both = Selection(methods=("fedavg",), references=("centralised",))
    assert {cell.method for cell in cells(both)} == {"fedavg", "centralised"}
    assert {cell.method for cell in cells(Selection((1,)))} == {"fedavg", "focal", "centralised-balanced"}


def test_naming_variants_leaves_the_others_and_the_references_out():
    assert {cell.variant and cell.variant.name for cell in cells(Selection(variants=("τ",)))} == {None, "τ 20"}
    assert {cell.method for cell in cells(Selection(variants=("τ",)))} == {"focal"}
    both = Selection(variants=("1 pass",), references=("centralised",))
    assert {cell.method for cell in cells(both)} == {"fedavg", "focal", "centralised"}
    by_variant = [keys(Selection(variants=(variant.name,))) for variant in STUDY.variant]
    trained = {cell.key for cell in cells(Selection()) if cell.arm != "reference"}
    assert set.union(*by_variant) == trained


def test_a_setting_is_known_by_any_part_of_its_name_that_no_other_has():
    assert {cell.setting.name for cell in cells(Selection(settings=("step",)))} == {"step 50:1"}
    assert {cell.setting.name for cell in cells(Selection(settings=("0.3", "step")))} == {"50:1, α 0.3", "step 50:1"}
    with pytest.raises(InvalidStudy, match="2 settings"):
        select(STUDY, Selection(settings=("α",)))
    exact = dataclasses.replace(STUDY, setting=(Setting("a"), Setting("ab")), variant=(Variant(),))
    assert [setting.name for setting in select(exact, Selection(settings=("a",))).setting] == ["a"]


@pytest.mark.parametrize(
    ("selection", "problem"),
    [
        (Selection((7,)), "no 7"),
        (Selection(methods=("smote",)), "no smote"),
        (Selection(references=("oracle",)), "no oracle"),
        (Selection(settings=("1000:1",)), "0 settings"),
        (Selection(variants=("",)), "3 variants"),
        (Selection(methods=("fedavg",), variants=("τ 20",)), "no cell"),
        (Selection((1,), references=("centralised",)), "no cell"),
    ],
)
def test_what_a_study_does_not_have_is_refused(selection, problem):
    with pytest.raises(InvalidStudy, match=problem):
        select(STUDY, selection)


def test_a_study_without_references_says_so():
    with pytest.raises(InvalidStudy, match="it has none"):
        select(Study("s"), Selection(references=("centralised",)))

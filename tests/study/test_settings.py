"""Shipped settings fit together, and a wrong key is refused with its whole path."""

import dataclasses

import numpy as np
import pytest
import torch

from fedrela.core import strict
from fedrela.core.task import Task
from fedrela.emulator.data.shards import Shards
from fedrela.export import inputs
from fedrela.export.loading import load_model
from fedrela.study.config import InvalidStudy, Study, Variant, from_toml, load, shipped
from fedrela.study.runs import fleet
from fedrela.study.runs.cells import expand
from fedrela.study.runs.tasks import branch_task, trunk_task

CLASSES = {"wisdm-people": 6, "heart-severity": 5, "heart-disease": 2, "caravan": 2}
STUDIES = {name: load(name)[0] for name in shipped()}


def test_shipped_studies_have_titles_of_their_own():
    assert len({study.title for study in STUDIES.values()} - {""}) == len(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_the_model_of_a_shipped_study_takes_its_input(name):
    model = STUDIES[name].model
    raw, pipeline = inputs.parse(model.input), inputs.parse_augment(",".join(model.augment), inputs.Pipeline())
    pixels = torch.zeros(2, *raw.shape, dtype=getattr(torch, raw.dtype))
    randoms = {
        random: torch.full([2 if isinstance(size, str) else size for size in shape], 0.5)
        for random, shape in pipeline.randoms(raw).items()
    }
    logits = load_model(model.build).eval()(pipeline(raw, pixels, randoms))
    assert logits.shape == (2, CLASSES.get(name, 10))


@pytest.mark.parametrize("name", STUDIES)
def test_every_shipped_variant_leaves_rounds_on_both_sides(name):
    study = STUDIES[name]
    assert all(1 <= study.start(variant) < study.training.rounds for variant in study.variant)
    assert len(set(study.seeds)) == len(study.seeds)
    assert len(set(study.methods)) == len(study.methods)


def test_a_branch_starts_after_four_fifths_unless_told():
    study = Study("s")
    assert study.start(Variant()) == 40
    assert study.start(Variant(start=7)) == 7


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[data]\nfolder = 'x'", r"data\.folder"),
        ("[model]\nlayers = 3", r"model\.layers"),
        ("[training]\nlearning_rate = 0.1", r"training\.learning_rate"),
        ("[[setting]]\nname = 'x'\nbeta = 1", r"setting\[0\]\.beta"),
        ("[[variant]]\nname = 'x'\n[[variant]]\ntau = 1", r"variant\[1\]\.tau"),
        ("[[setting]]\nalpha = 1", r"setting\[0\]\.name' is missing"),
        ("[training]\nrounds = '50'", r"training\.rounds"),
        ("references = ['decentralized']", "references"),
        ("[training]\nepochs = 0", r"training\.epochs is 0"),
        ("[[variant]]\nthreshold_percent = 101", "threshold"),
        ("[[variant]]\n[[variant]]", "two variants have the same name"),
        ("setting = []", "no setting"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(text, problem):
    with pytest.raises(InvalidStudy, match=problem):
        from_toml(f"name = 'a'\n{text}")


def test_a_file_goes_before_a_shipped_study_and_brings_its_folder(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\n', encoding="utf-8")
    study, folder = load(str(path))
    assert (study.name, folder) == ("mine", tmp_path)


@pytest.mark.parametrize("name", STUDIES)
def test_every_cell_of_a_shipped_study_makes_a_task_that_can_be_published(name):
    counts = np.arange(10, 0, -1)
    for cell in expand(STUDIES[name], "d"):
        shards = Shards(
            fleet.scenario(cell.setting, cell.seed), np.zeros(1, np.int64), np.zeros(1, np.int64), counts, ()
        )
        if cell.arm == "trunk":
            task = trunk_task(cell, cell.start, shards)
        elif cell.arm != "reference":
            task = branch_task(cell, shards)
        else:
            continue
        assert strict.from_json(Task, strict.to_json(task)) == task


def test_the_study_of_sensitivity_changes_one_thing_at_a_time():
    study = STUDIES["digits-sensitivity"]
    plain, *others = study.variant
    changed = set()
    for variant in others:
        differing = {
            field.name
            for field in dataclasses.fields(Variant)
            if field.name not in ("name", "settings") and getattr(variant, field.name) != getattr(plain, field.name)
        }
        assert len(differing) == 1
        changed |= differing
    assert changed == {"threshold_percent", "start", "period", "lr_scale", "passes"}
    assert any(setting.cohort for setting in study.setting)
    assert len({setting.classes_per_device for setting in study.setting}) > 2

"""The two branches differ in their labels and in nothing else."""

import dataclasses

import numpy as np
import pytest

from fedrela.core.data.partition import step_profile
from fedrela.emulator.data.shards import Shards
from fedrela.study.config import Setting, Study, Variant
from fedrela.study.methods import METHODS
from fedrela.study.runs import fleet
from fedrela.study.runs.cells import expand
from fedrela.study.runs.tasks import branch_task, trunk_task

STUDY = Study("s", methods=tuple(METHODS), setting=(Setting("a", cohort=5),), variant=(Variant(lr_scale=0.3),))


@pytest.fixture
def shards():
    counts = step_profile(classes=10, largest=20, imbalance=4)
    return Shards(fleet.scenario(STUDY.setting[0], 1), np.zeros(1, np.int64), np.zeros(1, np.int64), counts, ())


@pytest.mark.parametrize("method", METHODS)
def test_both_branches_have_one_seed_and_one_learning_rate(method, shards):
    cells = {cell.arm: cell for cell in expand(STUDY, "d") if cell.method == method and cell.seed == 1}
    kept, relabeled = branch_task(cells["kept"], shards), branch_task(cells["relabeled"], shards)
    trunk = trunk_task(cells["trunk"], cells["trunk"].start, shards)
    assert kept.seed == relabeled.seed != trunk.seed
    assert kept.rounds == relabeled.rounds == 50 - trunk.rounds
    assert not trunk.relabel.enabled
    assert not kept.relabel.enabled
    assert relabeled.relabel.start_round(relabeled.rounds) == 1
    rate = relabeled.local.hyperparameters["lr"] * relabeled.lr_factor(1)
    assert kept.local.hyperparameters["lr"] * kept.lr_factor(1) == rate == pytest.approx(0.015)
    same = dataclasses.replace(
        kept,
        name=relabeled.name,
        population=relabeled.population,
        relabel=relabeled.relabel,
        local=dataclasses.replace(kept.local, hyperparameters=relabeled.local.hyperparameters),
    )
    assert same == relabeled
    assert kept.round.goal == 5


def test_only_the_oracle_is_told_the_global_counts(shards):
    for cell in expand(STUDY, "d"):
        if cell.arm == "trunk":
            hyperparameters = trunk_task(cell, 1, shards).local.hyperparameters
            assert ("count_0" in hyperparameters) == (cell.method == "oracle")


def test_under_secure_rounds_the_whole_cohort_is_one_group_and_weighs_alike(shards):
    study = dataclasses.replace(STUDY, setting=(Setting("a", cohort=6, secure=True),), methods=("fedavg", "fedadam"))
    for cell in expand(study, "d"):
        task = trunk_task(cell, 1, shards)
        assert (task.privacy.secure, task.privacy.group_minimum, task.round.goal) == ("peers", 6, 6)
        assert not task.aggregation.weight_by_examples
        assert task.aggregation.server_optimizer == METHODS[cell.method].aggregation.get("server_optimizer", "fedavg")

"""A group of cells: what is left to train, and what its lines say."""

import numpy as np
import pytest

from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import deal
from fedrela.study.config import Setting, Study, Variant
from fedrela.study.data.prepared import Prepared
from fedrela.study.runs import fleet, result_files, rows
from fedrela.study.runs.cells import expand
from fedrela.study.runs.resume import unfinished
from fedrela.study.runs.setups import Group, Setup, Workspace

STUDY = Study(
    "s",
    seeds=(1,),
    references=("centralised",),
    setting=(Setting("a", imbalance=2, devices=2),),
    variant=(Variant(start=30), Variant("early", start=20)),
)
CELLS = tuple(expand(STUDY, "d"))


class Nobody:
    """Hears nothing."""

    def advance(self, label, rounds, before=False): ...
    def finished(self, row): ...


@pytest.fixture
def place(tmp_path):
    return Workspace(tmp_path / "r.jsonl", tmp_path / "work")


def test_what_is_finished_is_not_in_a_group_and_a_finished_group_is_not_there(place):
    trunk, reference = unfinished(CELLS, set())
    assert [cell.arm for cell in trunk.pending] == ["trunk", "kept", "relabeled"] * 2
    assert trunk.starts == {20, 30}
    assert (trunk.rounds(place), reference.rounds(place)) == (30 + 2 * 20 + 2 * 30, 50 * 2)
    assert unfinished(CELLS, {cell.key for cell in trunk.pending}) == [reference]
    (left,) = unfinished(CELLS, {cell.key for cell in CELLS} - {trunk.pending[2].key})
    assert left.pending == (trunk.pending[2],)
    assert left.starts == {20, 30}


def test_a_trunk_is_trained_no_further_than_a_missing_checkpoint(place):
    group = Group(CELLS[:6], frozenset({20, 30}))
    for start, left in ((30, 20), (20, 0)):
        path = place.checkpoint(CELLS[0], start)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert group.trunk_rounds(place) == left


def test_a_class_without_a_test_sample_is_null_in_a_line_that_can_be_written(place):
    y = np.repeat(np.arange(3), [8, 6, 4])
    y_test = np.array([0, 1, 1])
    dataset = Dataset(np.zeros((18, 2), np.float32), y, np.zeros((3, 2), np.float32), y_test, 3)
    shards = deal(fleet.scenario(CELLS[0].setting, 1), dataset)
    setup = Setup(Group(CELLS[:1], frozenset()), Prepared(dataset, place.work, "d"), shards, place, "c", Nobody())
    row = rows.describe(setup, CELLS[0], np.eye(3)[y_test])
    result_files.append(place.results, row)
    measured = result_files.read(place.results)[CELLS[0].key]["measured"]
    assert measured["per_class"] == [1.0, 1.0, None]
    assert measured["few"] is None
    assert measured["overall"] == 1.0

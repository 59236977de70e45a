"""Tables with owners are read as they come, and nobody who is tested is trained on."""

import dataclasses
import zipfile

import numpy as np
import pytest

from fedrela.core.errors import InvalidData
from fedrela.study.config import DatasetLocation, InvalidStudy, Setting
from fedrela.study.data import datasets, people
from fedrela.study.runs import fleet, metrics

PEOPLE, SAMPLES = 8, 5


def table(owner, heading="a,b,label"):
    rows = [f"{owner},{sample / 10},{('sit', 'walk')[(owner + sample) % 2]}" for sample in range(SAMPLES)]
    return "\n".join([heading, *rows]) + "\n"


@pytest.fixture
def prepared(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("set/README.txt", "what it is")
        archive.writestr("set/original/names.csv", "id,name\n1,2\n")
        for owner in range(PEOPLE):
            archive.writestr(f"set/users/{owner:02}.csv", table(owner))
    return datasets.prepare(DatasetLocation("set", "set.zip"), "float32:2", tmp_path, tmp_path / "cache")


def test_a_zip_of_tables_is_read_as_it_comes(prepared):
    dataset = prepared.dataset
    assert dataset.x.dtype == np.float32
    assert dataset.x[:, 0].tolist() == prepared.owners.tolist() == [o for o in range(PEOPLE) for _ in range(SAMPLES)]
    assert dataset.y.tolist() == [(o + s) % 2 for o in range(PEOPLE) for s in range(SAMPLES)]
    assert (len(dataset.x_test), dataset.classes) == (0, 2)
    again = datasets.opened(prepared.npz, prepared.sha256)
    assert (again.owners == prepared.owners).all()


def test_numbers_as_labels_are_in_their_order_and_broken_tables_are_refused():
    assert people.read({"a.csv": "x,label\n1,10\n2,9\n"}).classes == ("9", "10")
    with pytest.raises(InvalidData, match="different columns"):
        people.read({"a.csv": "x,label\n1,0\n", "b.csv": "y,label\n1,0\n"})
    with pytest.raises(InvalidData, match="no number"):
        people.read({"a.csv": "x,label\n?,0\n"})


def test_every_person_is_tested_in_one_fold_and_is_a_device_in_all_others(prepared):
    tested = []
    for number in (1, 2, 3, 4):
        setting = Setting("a", people_fold=number, devices=6)
        part, shards = people.devices(prepared, setting, fleet.scenario(setting, 1))
        held = set(part.test_owners.tolist())
        tested += held
        assert set(part.dataset.x_test[:, 0].tolist()) == held
        owners = [set(part.dataset.x[shards.indices(device), 0].tolist()) for device in range(6)]
        assert all(len(own) == 1 for own in owners)
        assert set.union(*owners) == set(range(PEOPLE)) - held
        assert shards.class_counts.sum() == len(part.dataset.y) == 6 * SAMPLES
    assert sorted(tested) == list(range(PEOPLE))


def test_a_wrong_number_of_devices_is_named_with_the_right_one(prepared):
    setting = Setting("a", people_fold=1, devices=5)
    with pytest.raises(InvalidStudy, match="6 owners have training samples"):
        people.devices(prepared, setting, fleet.scenario(setting, 1))


def test_a_stratified_split_tests_a_quarter_of_each_class_of_each_owner(prepared):
    setting = Setting("a", stratified=True, devices=PEOPLE)
    part, shards = people.devices(prepared, setting, fleet.scenario(setting, 1))
    again, _ = people.devices(prepared, setting, fleet.scenario(setting, 1))
    other, _ = people.devices(prepared, setting, fleet.scenario(setting, 2))
    assert (part.dataset.x_test == again.dataset.x_test).all()
    assert not (part.dataset.x_test == other.dataset.x_test).all()
    for owner in range(PEOPLE):  # three samples of one class, two of the other: one of each is a quarter, halves up
        assert sorted(part.dataset.y_test[part.test_owners == owner].tolist()) == [0, 1]
        assert set(part.dataset.x[shards.indices(owner), 0].tolist()) == {owner}
    assert len(part.dataset.y) + len(part.dataset.y_test) == PEOPLE * SAMPLES


def test_some_owners_can_be_chosen_and_classes_be_joined():
    owned = people.read({f"{name}.csv": f"x,label\n{at},0\n{at},{at}\n" for at, name in enumerate("abc")})
    assert owned.classes == ("0", "1", "2")
    part = people.chosen(owned, ("c", "b"), binary=True)
    assert part.names == ("b", "c")
    assert part.x[:, 0].tolist() == [1, 1, 2, 2]
    assert (part.owners.tolist(), part.y.tolist()) == ([0, 0, 1, 1], [0, 1, 0, 1])
    with pytest.raises(InvalidData, match="no owner 'd'"):
        people.chosen(owned, ("d",), binary=False)


def test_samples_without_owners_make_no_people(prepared):
    setting = Setting("a", stratified=True, devices=2)
    with pytest.raises(InvalidStudy, match="have no owners"):
        people.devices(dataclasses.replace(prepared, owners=None), setting, fleet.scenario(setting, 1))


def test_what_was_told_right_is_counted_by_owner():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    assert metrics.by_owner(probabilities, np.array([0, 0, 1]), np.array([4, 4, 7])) == [
        {"owner": 4, "samples": [2, 0], "right": [1, 0]},
        {"owner": 7, "samples": [0, 1], "right": [0, 0]},
    ]


@pytest.fixture
def one_table(tmp_path):
    """The owner between the numbers, the label first: where a table of somebody's has them."""
    rows = ["bought,a,main type,b", *(f"{('no', 'yes')[n % 2]},{n},{'xyz'[n % 3]},{n / 2}" for n in range(12))]
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def located(**changes):
    return dataclasses.replace(
        DatasetLocation("set", "all.csv", owner_column="main type", label_column="bought"), **changes
    )


def test_one_table_is_taken_apart_by_a_column(one_table):
    prepared = datasets.prepare(located(), "float32:2", one_table, one_table / "cache")
    order = [n for owner in range(3) for n in range(owner, 12, 3)]
    assert prepared.owners.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert prepared.dataset.x.tolist() == [[n, n / 2] for n in order]
    assert prepared.dataset.y.tolist() == [n % 2 for n in order]


@pytest.mark.parametrize("wrong", [{"owner_column": "age"}, {"label_column": "label"}])
def test_a_column_that_is_not_there_is_named(one_table, wrong):
    with pytest.raises(InvalidData, match="0 columns are called"):
        datasets.prepare(located(**wrong), "float32:2", one_table, one_table / "cache")


@pytest.mark.parametrize("text", ["", "bought,a,main type,b\nno,1\n", "bought,bought,main type,b\n"])
def test_what_is_no_such_table_is_refused(tmp_path, text):
    (tmp_path / "all.csv").write_text(text)
    with pytest.raises(InvalidData):
        datasets.prepare(located(), "float32:2", tmp_path, tmp_path / "cache")

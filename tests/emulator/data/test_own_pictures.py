"""A fleet on somebody's own pictures, as many of each class as there are, and the line that says how many are used."""

import dataclasses

import numpy as np
import pytest

from fedrela.core.errors import InvalidData
from fedrela.emulator.data import datasets, shards
from fedrela.emulator.scenario import from_toml
from tests.edge import softmax_bundle
from tests.emulator import pictures


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return softmax_bundle.write(tmp_path_factory.mktemp("bundle")).manifest


def scenario(data):
    return from_toml(f'name = "own"\ndevices = 3\n[data]\ndataset = "photos"\nsplit = "iid"\n{data}')


def test_a_folder_of_pictures_is_held_out_and_dealt_as_it_is(tmp_path, manifest):
    pictures.write(tmp_path / "photos", (20, 8, 4))
    own = datasets.load("photos", test_per_class=2, seed=0, folder=tmp_path, manifest=manifest)
    assert np.bincount(own.y).tolist() == [18, 6, 2]
    assert np.bincount(own.y_test).tolist() == [2, 2, 2]
    as_is = scenario('profile = "as-is"')
    dealt = shards.deal(as_is, own)
    assert dealt.class_counts.tolist() == [18, 6, 2]
    said = shards.used(dealt, own)
    assert said == "data: 26 of 26 samples are used; by class 18 of 18, 6 of 6, 2 of 2. To evaluate: 6"


def test_a_folder_test_beside_train_is_the_test_part(tmp_path, manifest):
    pictures.write(tmp_path / "photos" / "train", (5, 4, 3))
    pictures.write(tmp_path / "photos" / "test", (2, 2, 2))
    own = datasets.load("photos", test_per_class=40, seed=0, folder=tmp_path, manifest=manifest)
    assert (len(own.y), len(own.y_test), own.x.dtype) == (12, 6, np.uint8)


def test_where_nobody_says_how_many_no_class_loses_more_than_a_quarter_to_the_test_part(tmp_path, manifest):
    pictures.write(tmp_path / "photos", (20, 9, 8))
    own = datasets.load("photos", test_per_class=None, seed=0, folder=tmp_path, manifest=manifest)
    assert np.bincount(own.y_test).tolist() == [2, 2, 2]
    assert np.bincount(datasets.load("digits", test_per_class=None, seed=0).y_test).tolist() == [40] * 10


def test_a_class_with_a_single_picture_is_named(tmp_path, manifest):
    pictures.write(tmp_path / "photos", (3, 3, 1))
    named = dataclasses.replace(manifest, class_names=("0", "1", "2"))
    with pytest.raises(InvalidData, match="class 2 has 1 samples, 1 are to be held out"):
        datasets.load("photos", test_per_class=None, seed=0, folder=tmp_path, manifest=named)


def test_what_a_profile_leaves_out_is_said_by_class(tmp_path, manifest):
    pictures.write(tmp_path / "photos", (20, 8, 4))
    own = datasets.load("photos", test_per_class=2, seed=0, folder=tmp_path, manifest=manifest)
    long_tailed = scenario("imbalance = 2\nsamples_per_device = 5")
    said = shards.used(shards.deal(long_tailed, own), own)
    assert said.startswith("data: 4 of 26 samples are used; by class 2 of 18, 1 of 6, 1 of 2")
    assert '"as-is" uses all' in said
    assert "Each device draws 5 of them" in said

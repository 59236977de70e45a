"""A fleet on somebody's own pictures, as many of each class as there are, and the line that says how many are used."""

import numpy as np
import pytest
from PIL import Image

from fedrela.emulator.data import datasets, shards
from fedrela.emulator.scenario import from_toml
from tests.edge import softmax_bundle


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return softmax_bundle.write(tmp_path_factory.mktemp("bundle")).manifest


def pictures(folder, counts):
    rng = np.random.default_rng(0)
    for label, count in enumerate(counts):
        (folder / str(label)).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (4, 4), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{number}.png")


def scenario(data):
    return from_toml(f'name = "own"\ndevices = 3\n[data]\ndataset = "photos"\nsplit = "iid"\n{data}')


def test_a_folder_of_pictures_is_held_out_and_dealt_as_it_is(tmp_path, manifest):
    pictures(tmp_path / "photos", (20, 8, 4))
    own = datasets.load("photos", test_per_class=2, seed=0, folder=tmp_path, manifest=manifest)
    assert np.bincount(own.y).tolist() == [18, 6, 2]
    assert np.bincount(own.y_test).tolist() == [2, 2, 2]
    as_is = scenario('profile = "as-is"')
    dealt = shards.deal(as_is, own)
    assert dealt.class_counts.tolist() == [18, 6, 2]
    said = shards.used(dealt, own)
    assert said == "data: 26 of 26 samples are used; by class 18 of 18, 6 of 6, 2 of 2. To evaluate: 6"


def test_a_folder_test_beside_train_is_the_test_part(tmp_path, manifest):
    pictures(tmp_path / "photos" / "train", (5, 4, 3))
    pictures(tmp_path / "photos" / "test", (2, 2, 2))
    own = datasets.load("photos", test_per_class=40, seed=0, folder=tmp_path, manifest=manifest)
    assert (len(own.y), len(own.y_test), own.x.dtype) == (12, 6, np.uint8)


def test_what_a_profile_leaves_out_is_said_by_class(tmp_path, manifest):
    pictures(tmp_path / "photos", (20, 8, 4))
    own = datasets.load("photos", test_per_class=2, seed=0, folder=tmp_path, manifest=manifest)
    long_tailed = scenario("imbalance = 2\nsamples_per_device = 5")
    said = shards.used(shards.deal(long_tailed, own), own)
    assert said.startswith("data: 4 of 26 samples are used; by class 2 of 18, 1 of 6, 1 of 2")
    assert '"as-is" uses all' in said
    assert "Each device draws 5 of them" in said

"""Datasets from files are read for a model as a device reads them; what does not fit it is refused at once."""

from dataclasses import replace

import numpy as np
import pytest

from fedrela.core.errors import InvalidData
from fedrela.emulator.data import datasets
from tests.edge import softmax_bundle


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return softmax_bundle.write(tmp_path_factory.mktemp("bundle")).manifest


def test_labels_of_an_npz_are_names_where_the_model_s_names_are_numbers(tmp_path, manifest):
    named = replace(manifest, class_names=("1", "2", "3"))
    x, y = np.zeros((12, 3), np.float32), np.arange(12) % 3 + 1
    np.savez(tmp_path / "own.npz", x=x, y=y)
    own = datasets.load("own.npz", test_per_class=1, seed=0, folder=tmp_path, manifest=named)
    assert (np.bincount(own.y).tolist(), own.classes) == ([3, 3, 3], 3)


@pytest.mark.parametrize(
    ("arrays", "names"),
    [
        ({"y": np.array([0, 1, 3] * 2)}, "no class 3"),
        ({"x_test": np.zeros((2, 3)), "y_test": np.array([0, 4])}, "no class 4"),
        ({"x_test": np.zeros((2, 3)), "y_test": np.array([0])}, "2 examples and 1 labels"),
        ({"x_test": np.zeros((0, 3)), "y_test": np.zeros(0, int)}, "0 examples and 0 labels"),
        ({"y": np.array([{}] * 6, dtype=object)}, "can't be read"),
        ({"y": np.array([0, 1] * 3)}, "class 2 has 0 samples"),  # the last class is missed as any other is
    ],
)
def test_what_does_not_fit_the_model_is_refused(tmp_path, manifest, arrays, names):
    np.savez(tmp_path / "own.npz", **({"x": np.zeros((6, 3)), "y": np.arange(6) % 3} | arrays))
    with pytest.raises(InvalidData, match=names):
        datasets.load("own.npz", test_per_class=1, seed=0, folder=tmp_path, manifest=manifest)


def test_a_damaged_npz_says_so(tmp_path):
    np.savez(tmp_path / "own.npz", x=np.zeros((6, 3)), y=np.arange(6) % 3)
    body = (tmp_path / "own.npz").read_bytes()
    for damaged in (b"", body[:-30], b"PK" + body[:50], body[:60] + b"\xff" * 20 + body[80:]):
        (tmp_path / "own.npz").write_bytes(damaged)
        with pytest.raises(InvalidData, match="can't be read"):
            datasets.load("own.npz", test_per_class=1, seed=0, folder=tmp_path)


def test_a_class_that_no_device_has_is_counted_all_the_same(tmp_path, manifest):
    x, y = np.zeros((6, 3), np.float32), np.array([0, 1] * 3)
    np.savez(tmp_path / "own.npz", x=x, y=y, x_test=x[:2], y_test=y[:2])
    own = datasets.load("own.npz", test_per_class=1, seed=0, folder=tmp_path, manifest=manifest)
    datasets.share(own, tmp_path)
    assert own.classes == datasets.shared(tmp_path).classes == 3

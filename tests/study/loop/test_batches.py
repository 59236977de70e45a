"""A sample with two labels comes twice, weighed so that it counts once; all else is the device's own plan."""

import numpy as np
import pytest

from fedrela.edge.training.examples import Examples
from fedrela.study.loop import batches
from fedrela.study.loop.labels import Labels, kept
from fedrela.study.treatments import Treatment
from tests.study.loop.scene import ENGINE, branch

MANIFEST = ENGINE.manifest


def largest():
    """The examples of the device that holds most."""
    return max(branch(Treatment()).examples, key=len)


def batches_of(treatment, labels, examples=None):
    own = branch(treatment)
    examples = examples or largest()
    return list(batches.of_round(treatment, MANIFEST, own.local(0, 1), examples, labels, own.rates(1)))


def test_with_one_label_each_every_sample_counts_once_an_epoch():
    examples = largest()
    made = batches_of(Treatment(), kept(examples.y))
    assert sum(len(batch.y) for batch in made) == 2 * len(examples)
    assert all((batch.weight == 1).all() for batch in made)
    assert all(batch.randoms["augment.crop"].shape == (len(batch.y), 2) for batch in made)
    assert (np.sort(np.concatenate([batch.y for batch in made])) == np.sort(np.tile(examples.y, 2))).all()


def test_a_sample_with_two_labels_is_two_rows_whose_weights_are_one():
    examples = largest()
    shares = np.zeros(len(examples), np.float32)
    shares[:5] = [0.25, 0.5, 0.75, 0.1, 0.9]
    soft = Labels(examples.y, (examples.y + 1) % 4, shares)
    made = batches_of(Treatment(relabels="soft"), soft)
    assert sum(float(batch.weight.sum()) for batch in made) == pytest.approx(2 * len(examples))
    assert sum(len(batch.y) for batch in made) == 2 * (len(examples) + 5)
    for batch in made:
        pixels = batch.x["x"].reshape(len(batch.y), -1)
        extra = np.flatnonzero([(pixels[row] == pixels[:row]).all(axis=1).any() for row in range(len(pixels))])
        for row in extra:
            first = int(np.flatnonzero((pixels == pixels[row]).all(axis=1))[0])
            assert batch.weight[first] + batch.weight[row] == pytest.approx(1)
            assert batch.y[row] == (batch.y[first] + 1) % 4


def test_a_sample_s_first_slot_is_itself_and_others_are_made_of_its_class():
    examples = largest()
    made = batches_of(Treatment(synthesis="generated"), kept(examples.y))
    own = examples.x["x"].reshape(len(examples), -1)
    for epoch in (made[: len(made) // 2], made[len(made) // 2 :]):
        pixels = np.concatenate([batch.x["x"] for batch in epoch]).reshape(len(examples), -1)
        y = np.concatenate([batch.y for batch in epoch])
        is_own = [(row == own).all(axis=1) for row in pixels]
        there = np.array([row.any() for row in is_own])
        taken = [int(np.flatnonzero(row)[0]) for row in is_own if row.any()]
        sizes = np.bincount(examples.y, minlength=10)
        assert sum(taken.count(row) > 1 for row in set(taken)) <= (sizes == 1).sum()
        assert not there.all()
        assert set(y) <= set(examples.y)


def test_a_single_sample_is_a_batch():
    one = Examples({"x": np.zeros((1, 1, 8, 8), np.uint8)}, np.array([3]))
    (first, second) = batches_of(Treatment(), kept(one.y), one)
    assert first.y.tolist() == second.y.tolist() == [3]

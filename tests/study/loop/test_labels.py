"""Labels as treatments change them: soft ones are the mean of the draws, and a cap keeps the highest rates."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.relabel import relabel
from fedrela.study.loop import labels
from fedrela.study.treatments import Treatment
from tests.study.loop.scene import ENGINE, branch, start

Q = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]], np.float32)
OWN = np.array([0, 0, 0, 1])


def found(uniform, priors=None):
    return relabel(Q, OWN, np.full((4, 2), uniform, np.float32), threshold_percent=75, priors=priors)


def test_at_most_a_share_of_a_class_moves_those_with_the_highest_rates():
    every = dataclasses.replace(found(0.0), labels=np.array([1, 1, 1, 1]), flip_rate=np.array([0.2, 0.9, 0.5, 0.0]))
    assert labels.highest(OWN, every, 100).tolist() == [1, 1, 1, 1]
    assert labels.highest(OWN, every, 67).tolist() == [0, 1, 1, 1]
    assert labels.highest(OWN, every, 34).tolist() == [0, 1, 0, 1]
    assert labels.highest(OWN, every, 33).tolist() == OWN.tolist()


@given(st.integers(0, 2**32), st.floats(0, 100))
def test_of_no_class_moves_more_and_none_that_stayed_had_a_higher_rate(seed, most_percent):
    draw = np.random.default_rng(seed)
    own, new, rates = draw.integers(0, 3, 30), draw.integers(0, 3, 30), draw.random(30)
    one = dataclasses.replace(found(0.0), labels=new, flip_rate=rates)
    ours = labels.highest(own, one, most_percent)
    assert set(ours[ours != own]) <= set(new)
    for label in np.unique(own):
        members, wanted = own == label, new != own
        moved = members & (ours != own)
        assert moved.sum() <= most_percent / 100 * members.sum()
        assert (ours[moved] == new[moved]).all()
        left = members & wanted & ~moved
        assert not moved.any() or not left.any() or rates[moved].min() >= rates[left].max()


def test_whose_counts_decide_which_class_is_rarer():
    ours, theirs = found(0.0), found(0.0, priors=np.array([1.0, 0.0]))
    assert (ours.labels[:3] == 1).any()
    assert ours.labels[3] == 1
    assert (theirs.labels[:3] == 0).all()  # class 1 is the commonest of the fleet: nothing moves to it


@pytest.mark.parametrize("counts", ["device", "fleet"])
def test_soft_labels_weigh_what_a_draw_would_choose(counts):
    own = branch(Treatment(relabels="soft", counts=counts))
    examples, fleet_counts = own.examples[0], own.shards.class_counts
    soft = labels.changed(own.treatment, ENGINE, own.local(0, 1), start(), examples, fleet_counts)
    hard_treatment = Treatment(counts=counts)
    hard = labels.changed(hard_treatment, ENGINE, own.local(0, 1), start(), examples, fleet_counts)
    assert (soft.first == examples.y).all()
    assert ((soft.shares > 0) == (soft.second != examples.y)).all()
    assert soft.shares.max() < 1
    moved = hard.first != examples.y
    assert moved.any()
    assert (soft.shares[moved] > 0).all()  # nothing is drawn that has no rate
    assert (hard.shares == 0).all()

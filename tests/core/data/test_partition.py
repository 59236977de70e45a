"""Profiles, splits and accuracies by hand, and the law that every sample has exactly one owner."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.data import partition
from fedrela.core.errors import InvalidInput


def test_the_exponential_profile_of_cifar_10_lt():
    counts = partition.exponential_profile(classes=10, largest=5000, imbalance=100)
    assert counts.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


def test_the_step_profile():
    assert partition.step_profile(classes=4, largest=100, imbalance=50).tolist() == [100, 100, 2, 2]
    assert partition.step_profile(classes=3, largest=10, imbalance=100).tolist() == [10, 10, 1]


def test_taking_a_profile():
    labels = np.array([0, 0, 0, 1, 1, 1])
    chosen = partition.take_profile(labels, np.array([2, 9]), np.random.default_rng(0))
    assert np.bincount(labels[chosen]).tolist() == [2, 3]


@given(st.integers(1, 12), st.sampled_from([0.05, 0.3, 10.0]), st.integers(0, 99), st.integers(0, 3))
def test_every_sample_has_exactly_one_owner(devices, alpha, seed, minimum):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 80)
    parts = partition.dirichlet_split(labels, devices=devices, alpha=alpha, rng=rng, minimum=minimum)
    assert len(parts) == devices
    assert sorted(np.concatenate(parts).tolist()) == list(range(80))
    assert all(len(part) >= minimum for part in parts)


def test_a_small_alpha_is_skewed_and_a_large_one_is_not():
    labels = np.repeat(np.arange(10), 100)

    def absent(alpha):
        parts = partition.dirichlet_split(labels, devices=10, alpha=alpha, rng=np.random.default_rng(0))
        return np.mean([10 - len(np.unique(labels[part])) for part in parts])

    assert absent(0.1) > 3
    assert absent(100.0) == 0


def test_groups_are_by_frequency():
    counts = np.array([5, 50, 1, 40, 30, 20, 10, 4, 3, 2])
    many, medium, few = partition.frequency_groups(counts)
    assert (many, few) == ((1, 3, 4), (8, 9, 2))
    assert sorted(many + medium + few) == list(range(10))


def test_accuracy_by_hand():
    labels = np.array([0, 0, 0, 1, 1, 2])
    predicted = np.array([0, 0, 1, 1, 0, 2])
    result = partition.accuracy(predicted, labels, ((0,), (1,), (2,)), classes=4)
    assert result.overall == pytest.approx(4 / 6)
    assert (result.many, result.medium, result.few) == (pytest.approx(2 / 3), 0.5, 1.0)
    assert result.balanced == pytest.approx((2 / 3 + 0.5 + 1) / 3)
    assert np.isnan(result.per_class[3])


@pytest.mark.parametrize(
    "call",
    [
        lambda: partition.exponential_profile(classes=1, largest=5, imbalance=10),
        lambda: partition.exponential_profile(classes=2, largest=0, imbalance=10),
        lambda: partition.step_profile(classes=2, largest=5, imbalance=0.5),
        lambda: partition.dirichlet_split(np.zeros(5, int), devices=2, alpha=0, rng=np.random.default_rng(0)),
        lambda: partition.dirichlet_split(np.zeros(5, int), devices=6, alpha=1, rng=np.random.default_rng(0)),
        lambda: partition.dirichlet_split(np.zeros(5, int), devices=0, alpha=1, rng=np.random.default_rng(0)),
    ],
)
def test_impossible_requests_are_refused(call):
    with pytest.raises(InvalidInput):
        call()

"""Metrics against small sums by hand and scikit-learn; intervals against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fedrela.core.errors import InvalidInput
from fedrela.study.pages import comparison
from fedrela.study.runs import metrics

sklearn_metrics = pytest.importorskip("sklearn.metrics")


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 60))
def test_recalls_and_f1_are_those_of_scikit_learn(seed, classes, count):
    rng = np.random.default_rng(seed)
    q = rng.dirichlet([1] * classes, count)
    labels = rng.integers(0, classes, count)
    measured = metrics.measure(q, labels, (tuple(range(classes)), (), ()))
    predicted = q.argmax(axis=1)
    assert measured.overall == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    assert measured.macro_f1 == pytest.approx(sklearn_metrics.f1_score(labels, predicted, average="macro"))
    recalls = sklearn_metrics.recall_score(labels, predicted, labels=np.unique(labels), average=None, zero_division=0)
    assert measured.balanced == pytest.approx(recalls.mean())
    assert measured.worst == pytest.approx(recalls.min())
    assert measured.nll == pytest.approx(sklearn_metrics.log_loss(labels, q, labels=range(classes)), rel=1e-6)
    assert measured.many == pytest.approx(measured.overall)
    assert math.isnan(measured.few)


def test_calibration_by_hand():
    # Two samples at confidence 0.9, one right: gap 0.4. Two at 0.6, both right: gap 0.4. Different bins, equal sizes.
    q = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    assert metrics.calibration_error(q, np.array([0, 1, 0, 1])) == pytest.approx(0.4)


def test_moves_by_hand():
    old, new = np.array([0, 0, 0, 1, 2]), np.array([0, 2, 1, 0, 2])
    moved = metrics.moved(old, new, np.array([30, 10, 5]))
    assert (moved.samples, moved.relabeled, moved.to_rarer) == (5, 3, 2)
    assert moved.matrix == ((1, 1, 1), (1, 0, 0), (0, 0, 1))
    assert moved.between((0,), (1, 2)) == 2
    assert moved.between((0, 1, 2), (0, 1, 2)) == 3


def test_no_test_sample_is_an_error():
    with pytest.raises(InvalidInput):
        metrics.measure(np.empty((0, 3)), np.empty(0, np.int64), ((), (), ()))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1)), min_size=2, max_size=8))
def test_the_interval_is_that_of_scipy(pairs):
    first, second = np.array(pairs).T
    difference = comparison.paired(first, second)
    assert difference.mean == pytest.approx((second - first).mean(), abs=1e-12)
    if np.ptp(second - first) > 1e-6:
        expected = stats.ttest_rel(second, first).confidence_interval(0.95)
        assert (difference.low, difference.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_one_pair_has_no_interval():
    difference = comparison.paired([0.5], [0.6])
    assert difference.mean == pytest.approx(0.1)
    assert math.isnan(difference.low)
    with pytest.raises(InvalidInput):
        comparison.paired([0.5], [0.6, 0.7])

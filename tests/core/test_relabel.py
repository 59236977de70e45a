"""FedReLa against the authors' recorded results, an example worked by hand, and every edge case."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.errors import InvalidInput
from fedrela.core.relabel import STD_FLOOR, prior_weights, relabel

VECTORS = sorted(Path(__file__).with_name("vectors").glob("fedrela_*.npz"))


def test_the_vectors_are_there():
    assert len(VECTORS) == 7


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_equals_the_recorded_results_in_every_intermediate(path):
    vector = np.load(path)
    result = relabel(
        vector["probabilities"],
        vector["labels"].astype(np.int64),
        vector["uniforms"],
        threshold_percent=float(vector["threshold_percent"]),
    )
    present = np.unique(vector["labels"])
    np.testing.assert_array_equal(result.labels, vector["new_labels"])
    np.testing.assert_array_equal(result.priors, vector["priors"])
    np.testing.assert_allclose(result.mean[present], vector["mean"][present], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(result.std[present], vector["std"][present], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(result.z, vector["z"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.threshold, vector["threshold"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(result.flip_rates, vector["flip_rate"], rtol=1e-5, atol=1e-5)


def test_an_example_worked_by_hand():
    # Labels 0 0 0 0 1 1, C = 3, so counts 4 2 0 and w = (0, 0.5, 1). Among label 0, class 2 has probabilities
    # .1 .1 .1 .5: mean .2, std sqrt(.03), so z of the last is .3 / sqrt(.03) = sqrt(3), of the others -1/sqrt(3).
    # Among label 1 they are equal: std is clipped and z is 0. At 34 % of 6, m = 2: the threshold is the 4th smallest
    # of (-.577 x3, 0, 0, 1.732), which is 0; rho = tanh(sqrt(3)) * (1 - 0) = .9391 for the fourth sample.
    q = np.array([[0.8, 0.1, 0.1]] * 3 + [[0.4, 0.1, 0.5]] + [[0.2, 0.7, 0.1]] * 2)
    labels = np.array([0, 0, 0, 0, 1, 1])
    result = relabel(q, labels, np.full((6, 3), 0.9), threshold_percent=34)
    np.testing.assert_allclose(result.priors, [0, 0.5, 1])
    np.testing.assert_allclose(result.z[:, 2], [-(3**-0.5)] * 3 + [3**0.5, 0, 0], atol=1e-9)
    assert result.threshold[2] == pytest.approx(0, abs=1e-9)
    assert result.labels.tolist() == [0, 0, 0, 2, 1, 1]
    assert result.flip_rate[3] == pytest.approx(np.tanh(3**0.5))
    assert relabel(q, labels, np.full((6, 3), 0.95), threshold_percent=34).labels.tolist() == labels.tolist()


def random_case(n, classes, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    q = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.minimum(rng.exponential(classes / 5, n).astype(np.int64), classes - 1)
    return q.astype(np.float32), labels, rng.random((n, classes))


@given(st.integers(1, 60), st.integers(2, 8), st.floats(0, 100), st.integers(0, 999))
def test_labels_move_only_towards_locally_rarer_classes(n, classes, threshold, seed):
    q, labels, u = random_case(n, classes, seed)
    new = relabel(q, labels, u, threshold_percent=threshold).labels
    counts = np.bincount(labels, minlength=classes)
    moved = new != labels
    assert (counts[new[moved]] < counts[labels[moved]]).all()


@given(st.integers(1, 60), st.integers(2, 8), st.integers(0, 999))
def test_at_threshold_zero_nothing_is_relabeled(n, classes, seed):
    q, labels, u = random_case(n, classes, seed)
    assert relabel(q, labels, u * 0, threshold_percent=0).labels.tolist() == labels.tolist()


@given(st.integers(2, 40), st.integers(0, 999))
def test_reordering_the_samples_reorders_the_result(n, seed):
    q, labels, u = random_case(n, 4, seed)
    order = np.random.default_rng(seed).permutation(n)
    straight = relabel(q, labels, u, threshold_percent=20).labels
    assert relabel(q[order], labels[order], u[order], threshold_percent=20).labels.tolist() == straight[order].tolist()


def test_a_class_with_one_sample_has_the_clipped_deviation_and_z_zero():
    q, _, u = random_case(5, 3, 0)
    result = relabel(q, np.array([0, 0, 0, 0, 1]), u, threshold_percent=20)
    assert (result.std[1] == STD_FLOOR).all()
    assert (result.z[4] == 0).all()


def test_one_sample_alone_stays_as_it_is():
    assert relabel(np.array([[0.2, 0.8]]), np.array([0]), np.zeros((1, 2)), threshold_percent=50).labels.tolist() == [0]


def test_a_single_class_weighs_nothing_and_every_absent_class_one():
    assert prior_weights(np.array([0, 12, 0])).tolist() == [1, 0, 1]


def test_equal_counts_weigh_the_same_and_nothing_is_relabeled():
    q, _, u = random_case(6, 3, 1)
    result = relabel(q, np.array([0, 1, 2, 0, 1, 2]), u * 0, threshold_percent=100)
    assert result.priors.tolist() == [1, 1, 1]
    assert result.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_with_other_priors_labels_move_towards_what_those_call_rarer():
    q = np.array([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]], np.float32)
    labels, zeros = np.array([0, 0, 0, 1]), np.zeros((4, 2), np.float32)
    own = relabel(q, labels, zeros, threshold_percent=75)
    same = relabel(q, labels, zeros, threshold_percent=75, priors=prior_weights(np.array([3, 1])))
    np.testing.assert_array_equal(own.flip_rates, same.flip_rates)
    assert (own.labels[:3] == 1).any()
    others = relabel(q, labels, zeros, threshold_percent=75, priors=np.array([1.0, 0.0]))
    assert (others.labels[:3] == 0).all()
    with pytest.raises(InvalidInput, match="priors have shape"):
        relabel(q, labels, zeros, threshold_percent=75, priors=np.ones(3))


def test_a_tie_takes_the_lowest_class():
    q = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.2, 0.4, 0.4]])
    assert relabel(q, np.array([0, 0, 0]), np.zeros((3, 3)), threshold_percent=40).labels.tolist() == [0, 0, 1]


GOOD = {"probabilities": np.full((2, 2), 0.5), "labels": np.array([0, 1]), "uniforms": np.zeros((2, 2))}


@pytest.mark.parametrize(
    ("change", "threshold", "says"),
    [
        ({}, -1, "threshold_percent"),
        ({}, 101, "threshold_percent"),
        ({}, float("nan"), "threshold_percent"),
        ({"labels": np.array([0, 2])}, 5, "outside 0..1"),
        ({"labels": np.array([-1, 0])}, 5, "outside 0..1"),
        ({"labels": np.array([0.0, 1.0])}, 5, "integer"),
        ({"labels": np.array([0])}, 5, "labels"),
        ({"probabilities": np.array([[0.5, np.nan], [0.5, 0.5]])}, 5, "not finite"),
        ({"probabilities": np.zeros((2,))}, 5, "shape"),
        ({"probabilities": np.zeros((0, 2)), "labels": np.zeros(0, int), "uniforms": np.zeros((0, 2))}, 5, "n >= 1"),
        ({"uniforms": np.zeros((2, 3))}, 5, "uniforms"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(change, threshold, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        relabel(**(GOOD | change), threshold_percent=threshold)
    assert caught.value.remedy

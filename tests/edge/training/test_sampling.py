"""What an epoch trains on: tiny oracles by hand, laws by hypothesis."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.core import streams
from fedrela.core.errors import InvalidTask
from fedrela.core.task import LocalTraining
from fedrela.edge.training import sampling
from fedrela.edge.training.examples import Examples


def draw(*purpose):
    return streams.derive(b"secret", *purpose)


labels_of_any_kind = st.lists(st.integers(0, 4), min_size=1, max_size=40).map(lambda labels: np.array(labels, np.int64))


def test_the_default_is_one_permutation_of_all_samples():
    labels = np.array([3, 1, 2, 2, 0])
    drawn = sampling.plan(LocalTraining(), labels, draw, 7)
    assert drawn.rows.tolist() == streams.permutation(draw("shuffle", 7), 5).tolist()
    assert drawn.labels.tolist() == labels[drawn.rows].tolist()
    assert drawn.partners is None


def test_balanced_draws_follow_the_stream_by_hand():
    labels = np.array([7, 2, 7, 7])  # present: 2 and 7; members of 7 in storage order: rows 0, 2, 3
    u = streams.uniforms(draw("sample", 0), (4, 2)).astype(np.float64)
    members = {0: [1], 1: [0, 2, 3]}
    expected = []
    for first, second in u:
        group = members[int(first * 2)]
        expected.append(group[int(second * len(group))])
    assert sampling.plan(LocalTraining(sampling="class-balanced"), labels, draw, 0).rows.tolist() == expected


def test_balanced_draws_make_classes_equally_frequent():
    labels = np.repeat([0, 1, 2], [2000, 300, 10])
    drawn = sampling.plan(LocalTraining(sampling="class-balanced"), labels, draw, 0)
    assert np.bincount(drawn.labels) / len(labels) == pytest.approx([1 / 3] * 3, abs=0.05)


@settings(max_examples=50, deadline=None)
@given(labels_of_any_kind, st.sampled_from(["none", "mixup", "smote"]), st.integers(0, 3))
def test_every_plan_stays_within_the_local_samples_and_labels(labels, synthesis, epoch):
    local = LocalTraining(sampling="class-balanced", synthesis=synthesis)
    x = np.arange(len(labels) * 3, dtype=np.float32).reshape(-1, 3)
    examples = Examples({"x": x}, labels)
    drawn = sampling.plan(local, labels, draw, epoch, sampling.nearest(examples, labels))
    inputs, y = sampling.take(examples, drawn, slice(0, len(labels)))
    assert inputs["x"].shape == x.shape
    assert inputs["x"].dtype == np.float32
    assert set(y.tolist()) <= set(labels.tolist())
    assert inputs["x"].min() >= x.min()
    assert inputs["x"].max() <= x.max()
    assert sampling.plan(local, labels, draw, epoch, sampling.nearest(examples, labels)).rows.tolist() == (
        drawn.rows.tolist()
    )


def test_smote_interpolates_only_minority_repeats_and_keeps_their_label():
    labels = np.array([0] * 20 + [1] * 3)
    x = np.concatenate([np.zeros((20, 2)), [[10, 10], [20, 10], [10, 30]]]).astype(np.float64)
    examples = Examples({"x": x}, labels)
    local = LocalTraining(sampling="class-balanced", synthesis="smote")
    drawn = sampling.plan(local, labels, draw, 0, sampling.nearest(examples, labels))
    assert drawn.labels.tolist() == labels[drawn.rows].tolist()
    assert labels[drawn.partners].tolist() == drawn.labels.tolist()
    seen, synthetic = set(), 0
    for slot, row in enumerate(drawn.rows.tolist()):
        interpolated = drawn.partners[slot] != row
        assert interpolated == (row in seen and labels[row] == 1)
        assert interpolated or drawn.shares[slot] == 1
        synthetic += interpolated
        seen.add(row)
    assert synthetic > 3
    inputs, y = sampling.take(examples, drawn, slice(0, 23))
    triangle = inputs["x"][y == 1]
    assert (triangle >= 10).all()
    assert (triangle[:, 0] - 10) / 10 + (triangle[:, 1] - 10) / 20 == pytest.approx(
        np.clip((triangle[:, 0] - 10) / 10 + (triangle[:, 1] - 10) / 20, 0, 1)
    )


def test_nearest_neighbors_are_those_of_scikit_learn():
    neighbors = pytest.importorskip("sklearn.neighbors")
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [40, 12])
    x = rng.normal(size=(52, 6))
    neighbors_of = sampling.nearest(Examples({"x": x}, labels), labels)
    assert sorted(neighbors_of) == list(range(40, 52))
    order = neighbors.NearestNeighbors(n_neighbors=6).fit(x[40:]).kneighbors(x[40:], return_distance=False)
    for row in range(40, 52):
        assert neighbors_of[row].tolist() == (order[row - 40][1:] + 40).tolist()


def test_mixup_mixes_pixels_by_the_share_and_draws_the_label_by_it():
    labels = np.repeat([0, 1], 500)
    examples = Examples({"x": (labels * 200).astype(np.uint8)[:, None]}, labels)
    drawn = sampling.plan(LocalTraining(synthesis="mixup"), labels, draw, 0)
    inputs, y = sampling.take(examples, drawn, slice(0, 1000))
    assert inputs["x"].dtype == np.uint8
    own, partner = labels[drawn.rows] * 200.0, labels[drawn.partners] * 200.0
    assert np.abs(inputs["x"][:, 0] - (drawn.shares * own + (1 - drawn.shares) * partner)).max() <= 0.5
    # The drawn label is right on average: E[y] = the pixel's share of class 1.
    assert y.mean() == pytest.approx(inputs["x"].mean() / 200, abs=0.04)


def test_tokens_can_not_be_interpolated():
    labels = np.array([0, 1, 0])
    examples = Examples({"x": np.zeros((3, 4), np.int64)}, labels)
    drawn = sampling.plan(LocalTraining(synthesis="mixup"), labels, draw, 0)
    with pytest.raises(InvalidTask, match="nothing between"):
        sampling.take(examples, drawn, slice(0, 3))


def test_smote_without_balanced_sampling_is_refused_at_load():
    with pytest.raises(InvalidTask, match="class-balanced"):
        LocalTraining(synthesis="smote")

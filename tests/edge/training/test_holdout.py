"""The hold-out: laws of the split, and totals worked by hand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.edge.training.examples import Examples
from fedrela.edge.training.holdout import evaluate, split
from fedrela.edge.training.local_round import LocalRound
from tests.edge.live import small_task

LOCAL = LocalRound(small_task(), 1, b"secret")


def passing_through(classes: int) -> Any:
    """An engine whose model gives its input as the probabilities."""
    predict = SimpleNamespace(role=lambda *roles: ())
    manifest = SimpleNamespace(predict=predict, classes=classes)
    return SimpleNamespace(manifest=manifest, predict=lambda weights, x, randoms: x["p"])


def examples_of(count: int) -> Examples:
    """Samples that can be told apart, with keys that are not their positions."""
    return Examples({"p": np.arange(count, dtype=np.float32)}, np.arange(count), np.arange(count, dtype=np.uint64) * 7)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 60), fraction=st.floats(0, 0.999), secret=st.binary(max_size=80), seed=st.integers(0, 9))
def test_every_example_is_on_one_side_whatever_the_order(count: int, fraction: float, secret: bytes, seed: int) -> None:
    examples = examples_of(count)
    training, held_out = split(examples, fraction, secret)
    assert len(training) >= 1
    assert sorted([*training.keys.tolist(), *held_out.keys.tolist()]) == examples.keys.tolist()
    for side in (training, held_out):
        assert side.x["p"].tolist() == side.y.tolist() == (side.keys // np.uint64(7)).tolist()
    if len(training) > 1:  # else the first sample in order may have been the one that had to stay
        mixed = examples.take(np.random.default_rng(seed).permutation(count))
        assert set(split(mixed, fraction, secret)[1].keys.tolist()) == set(held_out.keys.tolist())


def test_a_larger_share_holds_out_the_same_and_more() -> None:
    examples = examples_of(400)
    smaller, larger = (set(split(examples, share, b"s")[1].keys.tolist()) for share in (0.1, 0.4))
    assert smaller < larger
    assert len(split(examples, 0.0, b"s")[1]) == len(split(examples, -1.0, b"s")[1]) == 0


def test_totals_by_hand() -> None:
    probabilities = np.array([[0.5, 0.25, 0.25], [0.5, 0.25, 0.25], [0.0, 0.0, 1.0]], np.float32)
    report = evaluate(passing_through(3), LOCAL, {}, Examples({"p": probabilities}, np.array([0, 1, 2])))
    assert report.loss_sum == pytest.approx(np.log(2) + np.log(4))
    assert (report.correct, report.examples) == (2, 3)


def test_an_answer_of_no_chance_has_a_finite_loss_and_no_examples_have_none() -> None:
    never = Examples({"p": np.array([[1, 0]], np.float32)}, np.array([1]))
    assert evaluate(passing_through(2), LOCAL, {}, never).loss_sum == pytest.approx(12 * np.log(10))
    nothing = evaluate(passing_through(2), LOCAL, {}, never.take(np.empty(0, np.int64)))
    assert (nothing.loss_sum, nothing.correct, nothing.examples) == (0.0, 0, 0)

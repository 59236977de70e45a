"""fedrela.core.aggregation.robust: values worked out by hand, laws, and an independent reading of Krum's definition."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.core import tensors
from fedrela.core.aggregation import robust
from fedrela.core.errors import InvalidInput
from fedrela.core.task import Aggregation
from fedrela.core.tensors import TensorSpec

STACKS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 9), st.integers(1, 7)),
    elements=st.floats(-100, 100, width=32, allow_subnormal=False),
)


def test_median_of_odd_and_even_counts() -> None:
    assert robust.median(np.array([[1, 9], [5, 1], [2, 4]], np.float32)).tolist() == [2, 4]
    assert robust.median(np.array([[1, 9], [5, 1]], np.float32)).tolist() == [3, 5]


def test_trimmed_mean_drops_both_ends_of_each_coordinate() -> None:
    stack = np.array([[-1000, 1], [1, 2], [2, 3], [3, 4], [1000, 5]], np.float32)
    assert robust.trimmed_mean(stack, 0.2).tolist() == [2, 3]
    assert robust.trimmed_mean(stack, 0.0).tolist() == pytest.approx([1.2, 3.0])


def test_multi_krum_leaves_the_far_ones_out() -> None:
    stack = np.array([[0, 0], [0.1, 0], [0, 0.1], [0.1, 0.1], [50, -50]], np.float32)
    assert sorted(robust.krum_order(stack, 0.2).tolist()) == [0, 1, 2, 3]
    assert robust.multi_krum(stack, 0.2).tolist() == pytest.approx([0.05, 0.05])


@pytest.mark.parametrize("rule", ["median", "trimmed-mean", "multi-krum"])
def test_one_update_is_its_own_aggregate(rule: str) -> None:
    row = np.array([[1.5, -2.0]], np.float32)
    assert robust.aggregate(row, Aggregation(rule=rule)).tolist() == [1.5, -2.0]  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["median", "trimmed-mean", "multi-krum"])
def test_an_empty_stack_is_refused(rule: str) -> None:
    with pytest.raises(InvalidInput, match="no update"):
        robust.aggregate(np.empty((0, 2), np.float32), Aggregation(rule=rule))  # type: ignore[arg-type]


def test_the_plain_mean_is_not_a_robust_rule() -> None:
    with pytest.raises(InvalidInput, match="no robust rule"):
        robust.aggregate(np.zeros((1, 1), np.float32), Aggregation(rule="mean"))


@given(STACKS, st.floats(0, 0.49))
@settings(max_examples=60, deadline=None)
def test_every_rule_stays_within_the_range_of_each_coordinate(stack: np.ndarray, fraction: float) -> None:
    low, high = stack.min(axis=0) - 1e-4, stack.max(axis=0) + 1e-4
    for result in (robust.median(stack), robust.trimmed_mean(stack, fraction), robust.multi_krum(stack, fraction)):
        assert (low <= result).all()
        assert (result <= high).all()


@given(STACKS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_median_and_trimmed_mean_do_not_depend_on_the_order(stack: np.ndarray, random: object) -> None:
    order = list(range(len(stack)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert np.array_equal(robust.median(stack), robust.median(stack[order]))
    assert np.array_equal(robust.trimmed_mean(stack, 0.2), robust.trimmed_mean(stack[order], 0.2))


@given(STACKS)
@settings(max_examples=40, deadline=None)
def test_columns_are_independent_of_the_block_size(stack: np.ndarray) -> None:
    whole = (robust.median(stack), robust.trimmed_mean(stack, 0.2), robust.multi_krum(stack, 0.2))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(robust, "BLOCK_BYTES", 4 * len(stack))
        blocks = (robust.median(stack), robust.trimmed_mean(stack, 0.2))
    assert all(np.array_equal(one, other) for one, other in zip(whole, blocks, strict=False))


def test_krum_scores_equal_the_definition() -> None:
    stack = np.random.default_rng(3).normal(size=(11, 40)).astype(np.float32)
    stack[4] += 5
    byzantine = 2
    scores = []
    for i, row in enumerate(stack.astype(np.float64)):
        others = sorted(float(((row - other) ** 2).sum()) for j, other in enumerate(stack) if j != i)
        scores.append(sum(others[: 11 - byzantine - 2]))
    assert robust.krum_order(stack, 0.2).tolist() == sorted(range(11), key=scores.__getitem__)[: 11 - byzantine]


def test_a_minority_of_any_size_cannot_move_the_robust_rules_far() -> None:
    honest = np.random.default_rng(1).normal(1.0, 0.1, size=(16, 50)).astype(np.float32)
    byzantine = np.full((4, 50), -1e6, np.float32)
    stack = np.concatenate([honest, byzantine])
    for rule in ("median", "trimmed-mean", "multi-krum"):
        result = robust.aggregate(stack, Aggregation(rule=rule))  # type: ignore[arg-type]
        assert np.abs(result - 1.0).max() < 0.3, rule
    assert stack.mean() < -1e5


@given(st.floats(0.01, 10), hnp.arrays(np.float32, 5, elements=st.floats(-50, 50, width=32)))
@settings(max_examples=60, deadline=None)
def test_clipping_bounds_the_norm_and_keeps_the_direction(limit: float, values: np.ndarray) -> None:
    clipped = robust.clip({"w": values}, limit)
    norm = tensors.l2_norm({"w": values})
    assert tensors.l2_norm(clipped) <= limit * (1 + 1e-5) + 1e-6
    if norm > 0:
        np.testing.assert_allclose(clipped["w"] * max(norm / limit, 1.0), values, rtol=1e-3, atol=1e-3)


def test_no_clipping_at_zero() -> None:
    update = {"w": np.array([3, 4], np.float32)}
    assert robust.clip(update, 0.0) is update


def test_flatten_and_unflatten_are_inverse() -> None:
    params = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([7], np.float32)}
    row = np.empty(7, np.float32)
    robust.flatten(params, row)
    back = robust.unflatten(row, (TensorSpec("w", (2, 3)), TensorSpec("b", (1,))))
    assert all(np.array_equal(back[name], params[name]) for name in params)

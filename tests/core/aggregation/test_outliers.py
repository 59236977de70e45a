"""Which norms are too large: laws over any norms, and what one device could do without them."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core import tensors
from fedrela.core.aggregation import outliers

NORMS = st.lists(st.floats(1e-6, 1e6), min_size=outliers.ENOUGH, max_size=outliers.REMEMBERED)


@given(NORMS, st.integers(1, 10**9))
def test_what_is_like_the_others_is_never_too_large(norms: list[float], parameters: int) -> None:
    bound = outliers.largest_norm(norms, parameters)
    assert sum(norm <= bound for norm in norms) >= 0.5 * len(norms)
    assert all(norm <= bound for norm in norms if norm <= 100 * sorted(norms)[len(norms) // 2 - 1])


@given(NORMS, st.data())
def test_less_than_half_of_the_updates_never_move_the_bound(honest: list[float], data: st.DataObject) -> None:
    count = data.draw(st.integers(0, len(honest) - 1))
    poisoned = data.draw(st.permutations(honest + [1e30] * count))
    assert outliers.largest_norm(poisoned, 1) <= outliers.TIMES_THE_USUAL * max(honest)


def test_an_honest_fleet_whose_data_are_uneven_is_within_the_bound() -> None:
    """Deciles of a hundred updates of the demo's fleets: ten times their median would refuse some of its devices."""
    for deciles in (
        [0.0016, 0.032, 0.06, 0.1, 0.12, 0.137, 0.222, 0.401, 0.86, 1.033, 1.682],
        [0.0019, 0.0040, 0.0060, 0.0075, 0.0142, 0.0165, 0.0225, 0.0289, 0.0394, 0.1097, 0.4209],
    ):
        norms = [norm for norm in deciles for _ in range(9)]
        assert max(norms) > 10 * sorted(norms)[len(norms) // 2]
        assert outliers.largest_norm(norms, 1) > 3 * max(norms)


@given(st.lists(st.floats(0, 1e30), max_size=outliers.ENOUGH - 1), st.integers(1, 10**9))
def test_the_bound_is_fixed_until_enough_is_known(norms: list[float], parameters: int) -> None:
    assert outliers.largest_norm(norms, parameters) == outliers.LARGEST_FIRST_RMS * math.sqrt(parameters)


def test_updates_of_zeros_make_no_bound_of_zero() -> None:
    assert outliers.largest_norm([0.0] * 50, parameters=1) > 0


@given(NORMS)
def test_only_the_newest_are_remembered_and_in_their_order(norms: list[float]) -> None:
    remembered = outliers.with_accepted(norms, [7.0, 8.0])
    assert remembered[-2:] == (7.0, 8.0)
    assert len(remembered) == min(len(norms) + 2, outliers.REMEMBERED)
    assert remembered[:-2] == tuple(norms[len(norms) + 2 - len(remembered) :])


@given(st.lists(st.floats(0, 1e38), min_size=1, max_size=30))
def test_something_is_always_left_out_and_never_less_than_the_largest(norms: list[float]) -> None:
    indices = outliers.largest_updates(norms)
    assert indices
    assert max(norms) in [norms[index] for index in indices]
    rest = [norm for index, norm in enumerate(norms) if index not in indices]
    assert all(norms[index] >= max(rest, default=0.0) for index in indices)


def test_one_of_many_is_left_out_alone() -> None:
    assert outliers.largest_updates([1.0, 2.0, 1e30, 1.5]) == [2]
    assert outliers.largest_updates([1.0, math.nan, 1.5]) == [1]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=40))
def test_the_squared_norm_of_finite_tensors_is_finite_and_the_norm_s_square(values: list[float]) -> None:
    params = {"a": np.asarray(values, np.float32), "b": np.asarray(values[:3], np.float32)}
    squared = tensors.squared_norm(params)
    assert math.isfinite(squared)
    assert math.isclose(math.sqrt(squared), tensors.l2_norm(params), rel_tol=1e-9, abs_tol=1e-300)


def test_the_squared_norm_of_more_than_a_block_has_every_element() -> None:
    ones = {"w": np.ones((3, 20_000), np.float32)}
    assert tensors.squared_norm(ones) == 60_000
    ones["w"][2, 19_999] = np.inf
    assert not math.isfinite(tensors.squared_norm(ones))

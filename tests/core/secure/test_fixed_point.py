"""Vectors by hand, the bound of every sum, and no overflow at the largest group."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedrela.core.errors import InvalidInput, InvalidTensors
from fedrela.core.secure import fixed_point
from fedrela.core.secure.fixed_point import Block, Extras, Layout

LAYOUT = Layout((Block(2, clip_norm=8.0),), classes=2, largest_group=16)
STEP = 8.0 * 2**-26  # C * 2^(g - 30) with g = 4


def encode(layout, *blocks, extras=Extras(1.0), uniforms=0.0):  # noqa: B008
    size = sum(len(block) for block in blocks)
    arrays = [np.asarray(block, np.float32) for block in blocks]
    return fixed_point.encode(layout, arrays, extras, np.full(size, uniforms, np.float32))


def test_a_vector_by_hand():
    extras = Extras(0.5, eval_loss=20.0, eval_correct=3, eval_examples=32, histogram=(4, 5000))
    vector = encode(LAYOUT, [1.0, -0.25], extras=extras, uniforms=0.5)
    assert vector.tolist() == [2**22, -(2**20), 2**25, 0, 2**22, 3, 32, 4, 4095]
    #           0.5 * 1 / (8 / 2^26)   the same    0.5 / 2^-26    20 / (320 / 2^26); a count is clamped


def test_a_block_above_its_norm_is_clipped_alone_and_says_so():
    layout = Layout((Block(2, clip_norm=2.5), Block(1, clip_norm=1.0)), classes=0, largest_group=5)
    vector = encode(layout, [3.0, 4.0], [0.5])  # norm 5, halved
    assert vector[:4].tolist() == [80_530_636, 107_374_182, 2**26, 2**27]  # 0.6 and 0.8 of 2^27, down
    assert vector[4] == 1
    assert encode(layout, [1.5, 2.0], [0.5])[4] == 0


def test_rounding_is_down_after_the_uniform_is_added():
    one = [1.25 * STEP, -1.25 * STEP]
    assert encode(LAYOUT, one, uniforms=0.0)[:2].tolist() == [1, -2]
    assert encode(LAYOUT, one, uniforms=0.75)[:2].tolist() == [2, -1]


@given(
    st.integers(5, 64),
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3),
    st.floats(0, 1, width=32, exclude_max=True),
    st.floats(-1, 2),
)
def test_no_sum_of_the_largest_group_overflows(members, values, uniform, weight):
    layout = Layout((Block(3, clip_norm=64.0),), classes=1, largest_group=members)
    extras = Extras(weight, eval_loss=1e9, eval_correct=10**6, eval_examples=10**6, histogram=(10**9,))
    vector = encode(layout, values, extras=extras, uniforms=uniform).astype(np.int64)
    assert np.abs(members * vector).max() <= 2**30 + members


@given(st.integers(5, 64), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_sum_is_within_its_bound_of_the_exact_one(members, seed):
    rng = np.random.default_rng(seed)
    layout = Layout((Block(4, clip_norm=1.0),), classes=0, largest_group=members)
    values = rng.normal(0, 0.2, (members, 4)).astype(np.float32)
    weights = rng.random(members)
    vectors = [
        fixed_point.encode(layout, [own], Extras(weight), rng.random(4, np.float32))
        for own, weight in zip(values, weights, strict=True)
    ]
    total = fixed_point.decode(layout, np.sum(vectors, axis=0, dtype=np.int32), members=members)
    clipped = [own.astype(np.float64) * fixed_point.clip_factor(layout.blocks[0], own) for own in values]
    exact = (weights[:, None] * clipped).sum(0)
    assert np.abs(total.blocks[0] - exact).max() <= members * layout.step(1.0)
    assert abs(total.extras.weight - weights.sum()) <= members * layout.step(1.0)


def test_rounding_is_unbiased():
    values = np.float32([0.3 * STEP, -0.7 * STEP])
    uniforms = (np.arange(1000, dtype=np.float32) + np.float32(0.5)) / 1000
    vectors = [fixed_point.encode(LAYOUT, [values], Extras(1.0), np.full(2, u, np.float32)) for u in uniforms]
    assert np.allclose(np.mean(vectors, axis=0)[:2], [0.3, -0.7], atol=0.001)


def test_what_no_honest_members_reach_is_out_of_bounds():
    vector = encode(LAYOUT, [8.0, 0.0])
    assert fixed_point.decode(LAYOUT, 3 * vector, members=3).extras.weight == 3.0
    huge, weightless, heavy = 3 * vector, 3 * vector, 3 * vector
    huge[0] += 2**23
    weightless[2] = 0
    heavy[2] += 1000
    for total in (huge, weightless, heavy):
        with pytest.raises(InvalidInput, match="no honest members"):
            fixed_point.decode(LAYOUT, total, members=3)


def test_an_update_that_does_not_fit_or_is_not_finite_is_refused():
    good = [np.zeros(2, np.float32)], Extras(1.0), np.zeros(2, np.float32)
    fixed_point.encode(LAYOUT, *good)
    for blocks, extras, uniforms in (
        ([np.zeros(3, np.float32)], good[1], good[2]),
        ([], good[1], good[2]),
        (good[0], good[1], np.zeros(1, np.float32)),
        ([np.float32([math.nan, 0])], good[1], good[2]),
        ([np.float32([math.inf, 0])], good[1], good[2]),
        (good[0], replace(good[1], histogram=(1,)), good[2]),
    ):
        with pytest.raises(InvalidTensors):
            fixed_point.encode(LAYOUT, blocks, extras, uniforms)

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
NONE = Extras(1.0)
EVALUATIONS = st.builds(
    Extras,
    weight=st.just(1.0),
    eval_loss=st.floats(0, 1e9),
    eval_correct=st.integers(0, fixed_point.EVALUATED),
    eval_examples=st.just(fixed_point.EVALUATED),
)
GOOD = Extras(16.0, eval_loss=50.0, eval_correct=100, eval_examples=6 * fixed_point.EVALUATED)


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


@st.composite
def honest_sums(draw):
    """A layout, the exact weights of its members, the least of them, and the members' vectors (members, d)."""
    members = draw(st.integers(5, 64))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    clip_norms = draw(st.tuples(*[st.floats(1e-3, 1e6)] * 2))
    sizes = draw(st.tuples(st.integers(1, 300), st.integers(1, 3)))
    layout = Layout(tuple(map(Block, sizes, clip_norms)), classes=0, largest_group=draw(st.integers(members, 64)))
    least = draw(st.sampled_from([1.0, 0.3, 1e-4, 1e-9, 0.0]))
    weights = np.maximum(least, rng.random(members) ** draw(st.sampled_from([0.1, 1.0, 30.0])))
    alike = [rng.normal(size=size) for size in sizes]  # one direction: the largest sum that there can be
    apart = draw(st.sampled_from([0.0, 1.0]))
    size_of_all = draw(st.sampled_from([0.0, 1e-6, 1.0, 1e6])) * max(clip_norms)
    upward = draw(st.booleans())

    def vector(weight):
        own = [np.float32(size_of_all * (one + apart * rng.normal(size=one.size))) for one in alike]
        uniforms = np.float32(rng.random(sum(sizes)))
        if upward:
            uniforms = np.where(np.concatenate(own) > 0, np.float32(1 - 2**-24), np.float32(0))
        return fixed_point.encode(layout, own, Extras(weight), uniforms)

    return layout, weights, least, np.array([vector(weight) for weight in weights])


@given(honest_sums())
@settings(max_examples=60, deadline=None)
def test_no_rounding_takes_an_honest_sum_out_of_bounds(honest):
    layout, weights, least, vectors = honest
    words = vectors.sum(0, dtype=np.int32)
    if not words[-5]:  # the weight of devices that all round to nothing
        return
    total = fixed_point.decode(layout, words, members=len(weights), least_weight=least)
    for block, values in zip(layout.blocks, total.blocks, strict=True):
        rounding = len(weights) * (math.sqrt(block.size) + 1) * layout.step(block.clip_norm)
        assert np.linalg.norm(values) <= weights.sum() * block.clip_norm * (1 + 1e-6) + rounding


@given(st.integers(5, 64), st.integers(-(2**31), 2**31 - 1).filter(bool))
def test_where_all_weigh_the_same_no_other_weight_passes(members, added):
    layout = Layout((Block(2, clip_norm=64.0),), classes=0, largest_group=members)
    words = members * fixed_point.encode(layout, [np.float32([0.1, 0])], Extras(1.0), np.zeros(2, np.float32))
    assert fixed_point.decode(layout, words, members=members, least_weight=1.0).extras.weight == members
    words[2] = (int(words[2]) + added + 2**31) % 2**32 - 2**31
    with pytest.raises(InvalidInput, match="no honest members"):
        fixed_point.decode(layout, words, members=members, least_weight=1.0)


@given(honest_sums(), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_whatever_weight_one_member_claims_the_mean_is_at_most_what_members_clip_to(honest, claimed):
    layout, weights, least, vectors = honest
    words = vectors.sum(0, dtype=np.int32)
    words[-5] = int(claimed * (len(weights) << 30 - layout.group_bits))
    try:
        total = fixed_point.decode(layout, words, members=len(weights), least_weight=least)
    except InvalidInput:
        return
    weight = total.extras.weight
    assert len(weights) * (least - layout.step(0.5)) <= weight <= len(weights)
    for block, values in zip(layout.blocks, total.blocks, strict=True):
        rounding = len(weights) * (math.sqrt(block.size) + 1) * layout.step(block.clip_norm)
        assert np.linalg.norm(values) / weight <= block.clip_norm * (1 + 1e-6) + rounding / weight


def test_a_weight_below_what_honest_members_send_and_a_norm_above_it_are_out_of_bounds():
    words = 5 * encode(LAYOUT, [8.0, 0.0], extras=Extras(0.5))
    assert fixed_point.decode(LAYOUT, words, members=5, least_weight=0.5).extras.weight == 2.5
    words[2] -= 1
    with pytest.raises(InvalidInput, match="a weight that"):
        fixed_point.decode(LAYOUT, words, members=5, least_weight=0.5)
    fixed_point.decode(LAYOUT, words, members=5, least_weight=0.25)
    words[2] = words[2] // 2 + 1
    with pytest.raises(InvalidInput, match="a norm that"):  # a mean of twice the clipping norm
        fixed_point.decode(LAYOUT, words, members=5, least_weight=0.25)


def test_an_update_and_its_weight_may_both_be_rounded_as_far_as_it_goes():
    layout = Layout((Block(2, clip_norm=1.0),), classes=0, largest_group=5)
    along = [np.float32([1, 1])]  # clipped to C
    units = 107.49  # of weight, rounded down: 76.01 units of each element, which are rounded up
    extras = Extras(units * layout.step(1.0))
    words = 5 * fixed_point.encode(layout, along, extras, np.full(2, 1 - 2**-24, np.float32))
    assert words[:3].tolist() == [5 * 77, 5 * 77, 5 * 107]
    assert fixed_point.decode(layout, words, members=5).extras.weight < np.hypot(5 * 77, 5 * 77) * layout.step(1.0)


@given(st.lists(EVALUATIONS, max_size=64), st.integers(0, 64))
def test_honest_evaluations_are_taken_if_they_are_enough(evaluated, others):
    members = (evaluated + [NONE] * others)[:64] or [NONE]
    layout = Layout((Block(1, clip_norm=1.0),), classes=0, largest_group=max(len(members), 5))
    zeros = np.zeros(1, np.float32)
    vectors = [fixed_point.encode(layout, [zeros], extras, zeros) for extras in members]
    total = fixed_point.decode(layout, np.sum(vectors, axis=0, dtype=np.int32), members=len(members), least_weight=1.0)
    assert fixed_point.counts_evaluation(total.extras, len(members)) == (
        len(evaluated) >= fixed_point.FEWEST_EVALUATIONS
    )


@pytest.mark.parametrize(
    "impossible",
    [
        {"eval_correct": GOOD.eval_examples + 1},
        {"eval_correct": -1},
        {"eval_examples": GOOD.eval_examples - 1},
        {"eval_examples": GOOD.eval_examples + 1},
        {"eval_examples": 1, "eval_correct": 1},
        {"eval_examples": 17 * fixed_point.EVALUATED},
        {"eval_examples": -fixed_point.EVALUATED},
        {"eval_loss": -1e-9},
        {"eval_loss": 1920.1},
        {"eval_loss": math.inf},
        {"eval_loss": math.nan},
    ],
)
def test_what_no_devices_have_together_is_not_taken(impossible):
    assert fixed_point.counts_evaluation(GOOD, 16)
    assert not fixed_point.counts_evaluation(replace(GOOD, **impossible), 16)


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

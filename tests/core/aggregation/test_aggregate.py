"""The laws of the mean: order, scale, identity; and a sum worked by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedrela.core.aggregation.aggregate import mean
from fedrela.core.errors import InvalidInput

ZERO = {"w": np.zeros(3, np.float32)}
vectors = st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=3).map(lambda v: {"w": np.array(v, np.float32)})
weighted = st.lists(st.tuples(vectors, st.floats(0.5, 100)), min_size=1, max_size=6)


def test_by_hand():
    result = mean([({"w": np.array([1, 2, 3], np.float32)}, 1), ({"w": np.array([4, 5, 6], np.float32)}, 3)], zero=ZERO)
    assert result["w"].tolist() == [3.25, 4.25, 5.25]
    assert result["w"].dtype == np.float32


@given(vectors, st.lists(st.floats(0.5, 100), min_size=1, max_size=5))
def test_the_mean_of_equal_updates_is_that_update(update, weights):
    np.testing.assert_allclose(mean([(update, w) for w in weights], zero=ZERO)["w"], update["w"], rtol=1e-6)


@given(weighted)
def test_order_does_not_matter_beyond_rounding(updates):
    forward, backward = mean(updates, zero=ZERO)["w"], mean(updates[::-1], zero=ZERO)["w"]
    np.testing.assert_allclose(forward, backward, rtol=1e-5, atol=1e-5)


@given(weighted, st.floats(0.1, 10))
def test_only_the_ratio_of_weights_matters(updates, factor):
    scaled = [(update, weight * factor) for update, weight in updates]
    np.testing.assert_allclose(mean(scaled, zero=ZERO)["w"], mean(updates, zero=ZERO)["w"], rtol=1e-5, atol=1e-5)


def test_it_streams():
    def updates():
        for _ in range(10_000):
            yield {"w": np.ones(3, np.float32)}, 1.0

    assert mean(updates(), zero=ZERO)["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("updates", [[], [({"w": np.zeros(3, np.float32)}, 0.0)], [(ZERO, float("nan"))]])
def test_nothing_to_aggregate_or_a_bad_weight_is_refused(updates):
    with pytest.raises(InvalidInput):
        mean(updates, zero=ZERO)

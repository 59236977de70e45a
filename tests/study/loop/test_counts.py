"""Counts with noise: every device weighs alike, one device moves the sum by at most 1, and the scale is 1 / epsilon."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedrela.study.loop import counts


@given(arrays(np.int64, (4, 3), elements=st.integers(0, 1000)))
def test_one_device_more_moves_the_sum_by_one_at_most(held):
    without, with_all = (
        counts.noisy(part, 1e12, np.random.default_rng(0)).astype(np.float64) for part in (held[:-1], held)
    )
    assert np.abs(with_all - without).sum() <= 1 + 1e-6


def test_the_noise_has_the_scale_that_epsilon_says():
    held = np.full((100_000 // 100, 100), 5)
    deviations = counts.noisy(held, 0.5, np.random.default_rng(3)) - held.shape[0] / 100
    spread = np.abs(deviations).mean()  # of a Laplace distribution: its scale, 2
    assert 1.4 < spread < 2.7


def test_a_class_that_the_noise_took_has_a_logarithm():
    noisy = counts.noisy(np.array([[5, 0], [5, 0]]), 1e-3, np.random.default_rng(4))
    assert np.isfinite(np.log(noisy)).all()

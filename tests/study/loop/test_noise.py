"""Clipped, weighed alike, and with noise of the size that is asked for."""

import numpy as np

from fedrela.study.loop import noise

NAMES = frozenset({"w"})


def change(*values, statistic=0.0):
    return {"w": np.float32(values), "running": np.float32([statistic])}


def test_a_change_is_cut_to_the_norm_and_a_statistic_is_not():
    mean = noise.mean([change(3.0, 4.0, statistic=100.0), change(0.3, 0.4)], NAMES, 1.0, 0.0, np.random.default_rng(1))
    np.testing.assert_allclose(mean["w"], [(0.6 + 0.3) / 2, (0.8 + 0.4) / 2], rtol=1e-6)
    np.testing.assert_allclose(mean["running"], [50.0])


def test_noise_is_as_wide_as_multiplier_times_norm_by_devices():
    nothing = {"w": np.zeros(40_000, np.float32), "running": np.zeros(1, np.float32)}
    mean = noise.mean([nothing] * 10, NAMES, 2.0, 0.5, np.random.default_rng(2))
    assert abs(mean["w"].std() - 0.1) < 0.002
    assert abs(mean["w"].mean()) < 0.002
    assert mean["running"] == 0


def test_the_bound_is_the_median_norm_of_what_is_trained():
    changes = [change(3.0, 4.0, statistic=900.0), change(0.0, 1.0), change(0.0, 2.0)]
    assert noise.median_norm(changes, NAMES) == 2.0

"""The generator makes what a class looks like: its mean, its spread, and nothing of a class of one sample."""

import numpy as np
import pytest

from fedrela.core.errors import InvalidInput
from fedrela.study.loop import generator

DRAW = np.random.default_rng(5)


def test_samples_have_the_class_s_mean_and_its_directions():
    labels = np.repeat([0, 1], 400)
    x = np.zeros((800, 3), np.float32)
    x[labels == 0] = DRAW.normal([5, 0, 0], [2, 0.01, 0.5], (400, 3))
    x[labels == 1] = DRAW.normal([-5, 1, 0], [0.5, 0.01, 2], (400, 3))
    made = generator.fit(x, labels).draw(np.repeat([0, 1], 4000), np.random.default_rng(1)).reshape(2, 4000, 3)
    np.testing.assert_allclose(made[0].mean(axis=0), x[:400].mean(axis=0), atol=0.15)
    np.testing.assert_allclose(made[1].mean(axis=0), x[400:].mean(axis=0), atol=0.15)
    np.testing.assert_allclose(made.std(axis=1), [[2, 0.06, 0.5], [0.5, 0.06, 2]], atol=0.15)


def test_two_samples_of_a_class_spread_as_the_others_do():
    x = DRAW.normal(0, 1, (102, 4)).astype(np.float32)
    x[100:] += 50
    labels = np.repeat([0, 1], [100, 2])
    made = generator.fit(x, labels).draw(np.ones(2000, np.int64), np.random.default_rng(2))
    np.testing.assert_allclose(made.mean(axis=0), x[100:].mean(axis=0), atol=0.2)
    assert (made.std(axis=0) > 0.5).all()


def test_of_a_class_with_one_sample_it_knows_nothing():
    made = generator.fit(DRAW.normal(0, 1, (5, 2)).astype(np.float32), np.array([0, 0, 1, 2, 2]))
    assert made.knows(np.array([0, 1, 2, 3])).tolist() == [True, False, True, False]


def test_bytes_stay_bytes_and_shapes_shapes():
    x = DRAW.integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
    made = generator.fit(x, np.repeat([0, 1], 10)).draw(np.array([1, 0, 1]), np.random.default_rng(3))
    assert (made.shape, made.dtype) == ((3, 3, 4, 4), np.uint8)
    assert generator.fit(x, np.repeat([0, 1], 10)).draw(np.empty(0, np.int64), np.random.default_rng(3)).shape[0] == 0


@pytest.mark.parametrize("samples", [1, 2])
def test_next_to_no_samples_are_enough_to_ask(samples):
    made = generator.fit(np.ones((samples, 6), np.float32), np.zeros(samples, np.int64))
    assert made.knows(np.array([0])).tolist() == [samples == 2]


def test_tokens_are_refused():
    with pytest.raises(InvalidInput, match="int64 can't be generated"):
        generator.fit(np.zeros((3, 4), np.int64), np.zeros(3, np.int64))

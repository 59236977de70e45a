"""Server optimizers against two steps worked by hand."""

import numpy as np
import pytest

from fedrela.core.aggregation.server_opt import make
from fedrela.core.task import Aggregation


def two_steps(**settings):
    optimizer = make(Aggregation(**settings))
    weights = {"w": np.float32([1.0])}
    state = optimizer.init(weights)
    seen = []
    for change in (0.5, -0.25):
        weights, state = optimizer.step(weights, {"w": np.float32([change])}, state)
        seen.append(float(weights["w"][0]))
    return seen


def test_fedavg_adds_the_change():
    assert two_steps() == [1.5, 1.25]
    assert two_steps(server_lr=2.0) == [2.0, 1.5]


def test_fedavgm_carries_velocity():
    # v: .5, then .5 * .5 - .25 = 0
    assert two_steps(server_optimizer="fedavgm", server_momentum=0.5) == [1.5, 1.5]


def test_fedadam_by_hand():
    # m: .25, then .5 * .25 - .5 * .25 = 0;   v0 = .01;   v1 = .75 * .01 + .25 * .25 = .07
    first = 1 + 0.1 * 0.25 / (0.07**0.5 + 0.1)
    settings = {"server_momentum": 0.5, "server_beta2": 0.75, "server_epsilon": 0.1, "server_lr": 0.1}
    assert two_steps(server_optimizer="fedadam", **settings) == pytest.approx([first, first], rel=1e-6)


def test_fedyogi_by_hand():
    # v1 = .01 - .25 * .25 * sign(.01 - .25) = .0725;   m: .25, then 0
    first = 1 + 0.1 * 0.25 / (0.0725**0.5 + 0.1)
    settings = {"server_momentum": 0.5, "server_beta2": 0.75, "server_epsilon": 0.1, "server_lr": 0.1}
    assert two_steps(server_optimizer="fedyogi", **settings) == pytest.approx([first, first], rel=1e-6)


@pytest.mark.parametrize("name", ["fedavg", "fedavgm", "fedadam", "fedyogi"])
def test_no_change_moves_nothing_and_inputs_stay_untouched(name):
    optimizer = make(Aggregation(server_optimizer=name))
    weights = {"w": np.float32([1.0, 2.0])}
    state = optimizer.init(weights)
    before = {key: array.copy() for key, array in (weights | state).items()}
    moved, after = optimizer.step(weights, {"w": np.zeros(2, np.float32)}, state)
    assert moved["w"].tolist() == [1, 2]
    assert set(after) == set(state)
    assert all(array.dtype == np.float32 for array in (moved | after).values())
    assert all(np.array_equal(before[key], array) for key, array in (weights | state).items())

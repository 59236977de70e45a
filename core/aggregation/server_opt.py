"""Server optimizers: how the global model moves by the mean change of a round.

Each is a pair of pure functions, `init(weights) -> state` and `step(weights, change, state) -> (weights, state)`; the
state is Params too, so it is stored like weights. Source: Reddi et al., "Adaptive Federated Optimization", ICLR 2021,
algorithm 2; Hsu, Qi, Brown, "Measuring the Effects of Non-Identical Data Distribution", 2019 (FedAvgM).

    >>> optimizer = make(Aggregation(server_lr=0.5))
    >>> weights = {"w": np.float32([1.0])}
    >>> optimizer.step(weights, {"w": np.float32([2.0])}, optimizer.init(weights))[0]["w"]
    array([2.], dtype=float32)
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedrela.core.task import Aggregation
from fedrela.core.tensors import Params


@dataclass(frozen=True)
class ServerOptimizer:
    """A pair of pure functions over float32 tensors."""

    init: Callable[[Params], Params]
    step: Callable[[Params, Params, Params], tuple[Params, Params]]


def make(aggregation: Aggregation) -> ServerOptimizer:
    """The optimizer that a task names."""
    if aggregation.server_optimizer == "fedavg":
        return _fedavg(aggregation.server_lr)
    if aggregation.server_optimizer == "fedavgm":
        return _fedavgm(aggregation.server_lr, aggregation.server_momentum)
    return _adaptive(aggregation)


def _fedavg(lr: float) -> ServerOptimizer:
    """x <- x + lr * change."""
    rate = np.float32(lr)

    def step(weights: Params, change: Params, state: Params) -> tuple[Params, Params]:
        return {name: array + rate * change[name] for name, array in weights.items()}, state

    return ServerOptimizer(init=lambda weights: {}, step=step)


def _fedavgm(lr: float, momentum: float) -> ServerOptimizer:
    """v <- momentum * v + change;  x <- x + lr * v."""
    rate, beta = np.float32(lr), np.float32(momentum)

    def step(weights: Params, change: Params, state: Params) -> tuple[Params, Params]:
        velocity = {name: beta * state["velocity." + name] + change[name] for name in weights}
        moved = {name: array + rate * velocity[name] for name, array in weights.items()}
        return moved, {"velocity." + name: array for name, array in velocity.items()}

    return ServerOptimizer(
        init=lambda weights: {"velocity." + name: np.zeros_like(array) for name, array in weights.items()}, step=step
    )


def _adaptive(aggregation: Aggregation) -> ServerOptimizer:
    """m <- beta1 m + (1 - beta1) change;  v by Adam's or Yogi's rule;  x <- x + lr * m / (sqrt(v) + epsilon).

    v starts at epsilon^2, as in the paper.
    """
    rate, epsilon = np.float32(aggregation.server_lr), np.float32(aggregation.server_epsilon)
    beta1, beta2 = np.float32(aggregation.server_momentum), np.float32(aggregation.server_beta2)
    one = np.float32(1)

    def second_moment(v: np.ndarray, change: np.ndarray) -> np.ndarray:
        square = change * change
        if aggregation.server_optimizer == "fedyogi":
            return np.asarray(v - (one - beta2) * square * np.sign(v - square))
        return np.asarray(beta2 * v + (one - beta2) * square)

    def init(weights: Params) -> Params:
        first = {"m." + name: np.zeros_like(array) for name, array in weights.items()}
        return first | {"v." + name: np.full_like(array, epsilon**2) for name, array in weights.items()}

    def step(weights: Params, change: Params, state: Params) -> tuple[Params, Params]:
        m = {name: beta1 * state["m." + name] + (one - beta1) * change[name] for name in weights}
        v = {name: second_moment(state["v." + name], change[name]) for name in weights}
        moved = {name: array + rate * m[name] / (np.sqrt(v[name]) + epsilon) for name, array in weights.items()}
        return moved, {"m." + name: m[name] for name in weights} | {"v." + name: v[name] for name in weights}

    return ServerOptimizer(init=init, step=step)

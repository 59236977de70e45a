"""Optimizers as pure functions: parameters, gradients, state and hyperparameters in; new parameters and state out.

Every hyperparameter is an input of the program. State is zeros at the start of a device's turn.

    >>> import torch
    >>> sgd = OPTIMIZERS["sgd"]
    >>> hyperparameters = {"lr": torch.tensor(0.5), "momentum": torch.tensor(0.9), "weight_decay": torch.tensor(0.0)}
    >>> one, zero = {"w": torch.ones(1)}, {"momentum.w": torch.zeros(1)}
    >>> sgd.update(one, {"w": torch.full((1,), 0.2)}, zero, hyperparameters)
    ({'w': tensor([0.9000])}, {'momentum.w': tensor([0.2000])})
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from fedrela.core.errors import InvalidInput

Named = dict[str, Tensor]
Update = Callable[[Named, Named, Named, Mapping[str, Tensor]], tuple[Named, Named]]


@dataclass(frozen=True)
class Optimizer:
    """`state(shapes)` gives the state's names and shapes; `update` is one step."""

    name: str
    hyperparameters: dict[str, float]  # their defaults
    state: Callable[[Mapping[str, tuple[int, ...]]], dict[str, tuple[int, ...]]]
    update: Update


def _sgd(
    params: Named, grads: Named, state: Named, hyperparameters: Mapping[str, Tensor], *, nesterov: bool
) -> tuple[Named, Named]:
    """torch.optim.SGD with dampening 0."""
    new_params, new_state = {}, {}
    for name, value in params.items():
        gradient = grads[name] + hyperparameters["weight_decay"] * value
        velocity = hyperparameters["momentum"] * state[f"momentum.{name}"] + gradient
        step = gradient + hyperparameters["momentum"] * velocity if nesterov else velocity
        new_params[name] = value - hyperparameters["lr"] * step
        new_state[f"momentum.{name}"] = velocity
    return new_params, new_state


def sgd(params: Named, grads: Named, state: Named, hyperparameters: Mapping[str, Tensor]) -> tuple[Named, Named]:
    """Stochastic gradient descent with momentum and weight decay."""
    return _sgd(params, grads, state, hyperparameters, nesterov=False)


def nesterov(params: Named, grads: Named, state: Named, hyperparameters: Mapping[str, Tensor]) -> tuple[Named, Named]:
    """The same with Nesterov's momentum."""
    return _sgd(params, grads, state, hyperparameters, nesterov=True)


def plain_sgd(params: Named, grads: Named, state: Named, hyperparameters: Mapping[str, Tensor]) -> tuple[Named, Named]:
    """Without momentum, so without state."""
    decay = {name: grads[name] + hyperparameters["weight_decay"] * value for name, value in params.items()}
    return {name: value - hyperparameters["lr"] * decay[name] for name, value in params.items()}, {}


def adamw(params: Named, grads: Named, state: Named, hyperparameters: Mapping[str, Tensor]) -> tuple[Named, Named]:
    """AdamW with bias correction: Loshchilov and Hutter, ICLR 2019."""
    step = state["adam_step"] + 1
    correction_1 = 1 - torch.exp(step * torch.log(hyperparameters["beta1"]))
    correction_2 = 1 - torch.exp(step * torch.log(hyperparameters["beta2"]))
    new_params: Named = {}
    new_state: Named = {"adam_step": step}
    for name, value in params.items():
        mean = hyperparameters["beta1"] * state[f"adam_mean.{name}"] + (1 - hyperparameters["beta1"]) * grads[name]
        square = (
            hyperparameters["beta2"] * state[f"adam_square.{name}"]
            + (1 - hyperparameters["beta2"]) * grads[name] * grads[name]
        )
        denominator = torch.sqrt(square / correction_2) + hyperparameters["adam_epsilon"]
        decayed = value * (1 - hyperparameters["lr"] * hyperparameters["weight_decay"])
        new_params[name] = decayed - hyperparameters["lr"] * (mean / correction_1) / denominator
        new_state[f"adam_mean.{name}"], new_state[f"adam_square.{name}"] = mean, square
    return new_params, new_state


def _momentum_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"momentum.{name}": shape for name, shape in shapes.items()}


def _adam_state(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    means = {f"adam_mean.{name}": shape for name, shape in shapes.items()}
    return {"adam_step": ()} | means | {f"adam_square.{name}": shape for name, shape in shapes.items()}


_SGD = {"lr": 0.03, "momentum": 0.5, "weight_decay": 0.0}
_ADAMW = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "adam_epsilon": 1e-8, "weight_decay": 0.01}

OPTIMIZERS = {
    optimizer.name: optimizer
    for optimizer in (
        Optimizer("sgd", _SGD, _momentum_state, sgd),
        Optimizer("nesterov", _SGD, _momentum_state, nesterov),
        Optimizer("plain-sgd", {"lr": 0.03, "weight_decay": 0.0}, lambda shapes: {}, plain_sgd),
        Optimizer("adamw", _ADAMW, _adam_state, adamw),
    )
}


def find(name: str | Optimizer) -> Optimizer:
    """An optimizer by name. Raises InvalidInput."""
    if isinstance(name, Optimizer):
        return name
    if name not in OPTIMIZERS:
        raise InvalidInput(f"there is no optimizer {name!r}", remedy=f"choose one of {', '.join(OPTIMIZERS)}")
    return OPTIMIZERS[name]

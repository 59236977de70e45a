"""SCAFFOLD's control variates: what a device's gradients have beyond the fleet's is taken out of its steps.

Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020, algorithm 1, option
II. The programs step with momentum mu, so that a gradient counts 1 / (1 - mu) in the end: the correction is added after
each step with the rate lr / (1 - mu), outside of the momentum, which the paper hasn't.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedrela.core import tensors
from fedrela.core.tensors import Array, Params


@dataclass(frozen=True)
class Controls:
    """c of the fleet, and c_i of each device: gradients, by the parameters' names."""

    fleet: Params
    devices: tuple[Params, ...]


def zero(parameters: Params, devices: int) -> Controls:
    """Before the first round."""
    nothing = tensors.scale(parameters, 0.0)
    return Controls(nothing, (nothing,) * devices)


def rate(rates: Mapping[str, float]) -> float:
    """What a gradient is multiplied by, all in all."""
    return rates["lr"] / (1 - rates.get("momentum", 0.0))


def correct(carried: Mapping[str, Array], controls: Controls, device: int, factor: float) -> dict[str, Array]:
    """A state's tensors by name after a step's correction: y + factor (c_i - c)."""
    own = controls.devices[device]
    shift = {name: np.float32(factor) * (own[name] - fleet) for name, fleet in controls.fleet.items()}
    return {name: array + shift[name] if name in shift else array for name, array in carried.items()}


def learned(controls: Controls, device: int, change: Params, steps: int, factor: float) -> Params:
    """A device's new c_i = c_i - c + (x - y_i) / (K factor), from its change y_i - x over K steps."""
    own = controls.devices[device]
    scale = np.float32(1 / (steps * factor))
    return {name: own[name] - fleet - scale * change[name] for name, fleet in controls.fleet.items()}


def after(controls: Controls, devices: Sequence[Params]) -> Controls:
    """Once every device has learned its own: c moves by the mean of their moves."""
    moves = [tensors.subtract(new, old) for new, old in zip(devices, controls.devices, strict=True)]
    mean = {name: np.mean([move[name] for move in moves], axis=0, dtype=np.float64) for name in controls.fleet}
    fleet = {name: (value + mean[name]).astype(np.float32) for name, value in controls.fleet.items()}
    return Controls(fleet, tuple(devices))

"""The attack that learns: devices are simulated with the attacker's own pictures, and a regression reads their updates.

It is trained for what it will see: so many updates in a sum, so much clipping and noise.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.preprocessing import StandardScaler

from benchmarks.leakage import attacks, fleet
from benchmarks.leakage.attacks import Attacker, Seen
from benchmarks.leakage.fleet import CLASSES
from benchmarks.leakage.measures import Guess, Shares, by_share, normalized
from fedrela.core.aggregation import robust
from fedrela.core.tensors import Params
from fedrela.edge.training.examples import Examples

_SMALLEST_SHARE = 0.02  # a guess below says that the class isn't there


@dataclass(frozen=True)
class View:
    """What the coordinator gets to see: a mean of `members` updates, each clipped to `clip_norm` (0: not), and Gaussian
    noise of `multiplier` times that on their sum.
    """

    members: int = 1
    clip_norm: float = 0.0
    multiplier: float = 0.0

    def of(self, changes: list[Params], samples: list[float], rng: np.random.Generator) -> Params:
        """The view of these updates. With clipping every device counts alike."""
        clipped = [robust.clip(change, self.clip_norm) for change in changes]
        weights = [1.0] * len(samples) if self.clip_norm else samples
        change = fleet.weighted_mean(clipped, weights)
        scale = self.multiplier * self.clip_norm / len(changes)
        return fleet.add_noise(change, scale, rng) if scale else change


@dataclass(frozen=True)
class Simulated:
    """A device that the attacker made up."""

    change: Params
    samples: float
    shares: Shares


def simulate(
    who: Attacker, number: int, rows: tuple[NDArray[np.int64], ...], shares: Shares, size: int, name: str
) -> Simulated | None:
    """A device of round `number` with `size` samples drawn by `shares` from pictures `rows`; None if it diverges."""
    observed = who.observed
    rng = np.random.default_rng([observed.seed, 9, number, *name.encode()])
    labels = rng.choice(CLASSES, size, p=shares)
    x = observed.dataset.x_test[[rng.choice(rows[label]) for label in labels]]
    examples = Examples({observed.model.input: x}, labels.astype(np.int64))
    change = fleet.simulate(observed, number, examples, name.encode())
    if change is None:
        return None
    return Simulated(change, float(size), np.bincount(labels, minlength=CLASSES) / size)


def pool(who: Attacker, number: int, count: int) -> list[Simulated]:
    """So many devices of one round, of all sorts of imbalance."""
    rng = np.random.default_rng([who.observed.seed, 9, number])
    devices: list[Simulated] = []
    for attempt in range(2 * count):
        if len(devices) == count:
            break
        alpha = np.exp(rng.uniform(np.log(0.03), np.log(0.5)))
        size = int(max(rng.choice(who.observed.examples) * np.exp(rng.normal(0, 0.3)), 2))
        device = simulate(who, number, who.rows, rng.dirichlet(np.full(CLASSES, alpha)), size, f"shadow {attempt}")
        if device is not None:
            devices.append(device)
    return devices


def learn(who: Attacker, number: int, view: View, devices: list[Simulated]) -> Callable[[Attacker, Seen], Guess]:
    """The attack of round `number` for one view, trained on simulated devices."""
    rng = np.random.default_rng([who.observed.seed, 21, number, view.members])
    inputs, targets = [], []
    for at in range(len(devices)):
        chosen = [devices[at]]
        if view.members > 1:
            chosen = [devices[i] for i in rng.choice(len(devices), view.members, replace=False)]
        samples = [device.samples for device in chosen]
        change = view.of([device.change for device in chosen], samples, rng)
        inputs.append(_features(who, Seen(number, change, float(np.mean(samples)))))
        targets.append(np.average([device.shares for device in chosen], axis=0, weights=samples))
    x, y = np.array(inputs), np.array(targets)
    scaler = StandardScaler().fit(x)
    net = MLPRegressor(hidden_layer_sizes=(64,), alpha=1.0, max_iter=400, random_state=0)
    trees = ExtraTreesRegressor(100, min_samples_leaf=2, random_state=0).fit(x, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(scaler.transform(x), y)

    def guess(who: Attacker, seen: Seen) -> Guess:
        features = _features(who, seen)[None]
        shares = normalized((net.predict(scaler.transform(features))[0] + trees.predict(features)[0]) / 2)
        return by_share(normalized(np.where(shares < _SMALLEST_SHARE, 0, shares)), seen.samples)

    return guess


def _features(who: Attacker, seen: Seen) -> NDArray[np.float64]:
    """What the other attacks look at, side by side."""
    weight_change, bias_change = who.head(seen.change)
    row_sums = weight_change.sum(1)
    before = who.observed.model.predict(who.base(seen.round), who.pictures).mean(0)
    after = attacks.mean_prediction(who, seen, who.pictures)
    blind = attacks.mean_prediction(who, seen, who.pixels)
    return np.concatenate(
        [
            _unit(bias_change),
            _unit(row_sums),
            _unit(np.maximum(bias_change, 0)),
            _unit(np.maximum(row_sums, 0)),
            attacks.ilrg_shares(who, seen),
            after,
            np.log(after + 1e-4) - np.log(before + 1e-4),
            np.log(blind + 1e-4),
            [np.log(np.linalg.norm(bias_change) + 1e-6), np.log(seen.samples)],
        ]
    )


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / (np.linalg.norm(values) + 1e-9)

"""What a coordinator may hold, and what each attack makes of it: rows of a table, by name.

Every guess is about one device. `about the sum` is the exception: there the truth is the histogram of all its members
together, which a sum shows, and is meant to.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from benchmarks.leakage import attacks, shadow
from benchmarks.leakage.attacks import Attacker, Seen
from benchmarks.leakage.fleet import CLASSES, DEVICES, Observed
from benchmarks.leakage.measures import Guess, Scores, Shares, by_share, judge, normalized
from benchmarks.leakage.shadow import Simulated, View

CLIP_NORM = 1.0
_NEWCOMERS = 40
Scored = dict[str, Scores]  # by attack


@dataclass
class Bench:
    """One run under attack. Simulated devices and trained attacks are kept, as many rows need the same."""

    observed: Observed
    shadows: int
    draws: int  # random groups for each size
    who: Attacker = field(init=False)
    unseen: tuple[NDArray[np.int64], ...] = field(init=False)  # pictures that the attacker hasn't, by class
    pools: dict[int, list[Simulated]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.who, self.unseen = attacks.attacker(self.observed)

    def simulated(self, number: int) -> list[Simulated]:
        """The attacker's devices of a round."""
        if number not in self.pools:
            self.pools[number] = shadow.pool(self.who, number, self.shadows)
        return self.pools[number]

    def attacks(self, number: int, view: View) -> dict:
        """All attacks on what is seen in a round."""
        learned = shadow.learn(self.who, number, view, self.simulated(number))
        return {**attacks.DIRECT, "shadow": learned}


def single(bench: Bench, number: int, view: View) -> Scored:
    """Each device's own upload of a round."""
    observed, guesses = bench.observed, {}
    rng = np.random.default_rng([observed.seed, 17])
    known = bench.attacks(number, view)
    for device in range(DEVICES):
        samples = float(observed.examples[device])
        seen = Seen(number, view.of([observed.changes[number, device]], [samples], rng), samples)
        _add(guesses, known, bench.who, seen)
    return {name: judge(made, list(observed.shares)) for name, made in guesses.items()}


def sums(bench: Bench, number: int, view: View) -> tuple[Scored, Scored]:
    """Sums over random groups in a round: as guesses about each member, and about the sum."""
    observed, guesses, members, together = bench.observed, {}, [], []
    rng = np.random.default_rng([observed.seed, 11, view.members])
    known = bench.attacks(number, view)
    for _ in range(bench.draws):
        group = rng.choice(DEVICES, view.members, replace=False)
        samples = [float(observed.examples[device]) for device in group]
        change = view.of([observed.changes[number, device] for device in group], samples, rng)
        _add(guesses, known, bench.who, Seen(number, change, float(np.mean(samples))))
        members += [observed.shares[device] for device in group]
        together.append(observed.counts[group].sum(0) / sum(samples))
    about_a_member = {
        name: judge([guess for guess in made for _ in range(view.members)], members) for name, made in guesses.items()
    }
    return about_a_member, {name: judge(made, together) for name, made in guesses.items()}


def changing_groups(bench: Bench, rounds: int, size: int) -> Scored:
    """Sums over many rounds, each of another random group, who was in it is known: least squares takes them apart."""
    observed, view = bench.observed, View(size)
    rng = np.random.default_rng([observed.seed, 13, size])
    took_part, samples, counts = [], [], {name: [] for name in attacks.DIRECT}
    for number in range(1, rounds + 1):
        group = rng.choice(DEVICES, size, replace=False)
        sizes = [float(observed.examples[device]) for device in group]
        change = view.of([observed.changes[number, device] for device in group], sizes, rng)
        took_part.append(np.isin(np.arange(DEVICES), group).astype(float))
        samples.append(sum(sizes))
        for name, attack in attacks.DIRECT.items():
            counts[name].append(attack(bench.who, Seen(number, change, float(np.mean(sizes)))).shares * sum(sizes))
    system = np.array(took_part)
    solved = np.maximum(nnls(system, np.array(samples))[0], 1)
    return {name: _apart(system, np.array(rows), solved, observed.shares) for name, rows in counts.items()}


def newcomers(bench: Bench, number: int) -> Scored:
    """The first upload of devices that join in a round, with data that the model has not been trained on."""
    observed, guesses, truths = bench.observed, {}, []
    rng = np.random.default_rng([observed.seed, 23, number])
    known = bench.attacks(number, View())
    for at in range(_NEWCOMERS):
        size = int(rng.choice(observed.examples[observed.examples > 5]))
        shares = rng.dirichlet(np.full(CLASSES, 0.1))
        device = shadow.simulate(bench.who, number, bench.unseen, shares, size, f"newcomer {at}")
        if device is not None:
            _add(guesses, known, bench.who, Seen(number, device.change, device.samples))
            truths.append(device.shares)
    return {name: judge(made, truths) for name, made in guesses.items()}


def _add(guesses: dict[str, list[Guess]], known: dict, who: Attacker, seen: Seen) -> None:
    for name, attack in known.items():
        guesses.setdefault(name, []).append(attack(who, seen))


def _apart(system: NDArray[np.float64], sums_of_counts: NDArray[np.float64], samples: Shares, truths: Shares) -> Scores:
    """Non-negative least squares for every class: each device's counts."""
    counts = np.array([nnls(system, sums_of_counts[:, label])[0] for label in range(CLASSES)]).T
    guesses = [by_share(normalized(own), size) for own, size in zip(counts, samples, strict=True)]
    return judge(guesses, list(truths))

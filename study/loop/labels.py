"""The labels that a device trains on: kept, drawn by FedReLa, or soft; by its own class counts or the fleet's.

Source: `fedrela.core.relabel`, which the exported programs equal. What is not in the paper:

- soft: a sample whose highest flip rate rho is above 0 has that class with the weight rho and its own with 1 - rho,
  which is what a draw gives in the mean;
- at most a share of a device's samples of one class moves: those with the highest flip rates.

>>> kept(np.array([0, 1])).shares.tolist()
[0.0, 0.0]
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.core import relabel, streams
from fedrela.core.relabel import Relabeling
from fedrela.core.tensors import Params
from fedrela.edge.engines.engine import Engine
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.study.treatments import Treatment


@dataclass(frozen=True)
class Labels:
    """Of n samples: `first` counts 1 - share and `second` counts share. Where the share is 0 there is one label."""

    first: NDArray[np.int64]  # (n,)
    second: NDArray[np.int64]  # (n,)
    shares: NDArray[np.float32]  # (n,), in 0..1


def kept(own: NDArray[np.int64]) -> Labels:
    """As they are, (n,)."""
    return Labels(own, own, np.zeros(len(own), np.float32))


def changed(
    treatment: Treatment,
    engine: Engine,
    local: LocalRound,
    weights: Params,
    examples: Examples,
    fleet_counts: NDArray[np.integer],
) -> Labels:
    """As a treatment changes them, with the global model's weights. `fleet_counts` (C,) count only if it asks for them.

    The draws are those of the device's own client in this round.
    """
    probabilities = local_round.predict(engine, local, weights, examples)
    found = relabel.relabel(
        probabilities,
        examples.y,
        streams.uniforms(local.stream("relabel-draw"), probabilities.shape),
        threshold_percent=local.task.relabel.threshold_percent,
        priors=relabel.prior_weights(fleet_counts) if treatment.counts == "fleet" else None,
    )
    if treatment.relabels == "soft":
        best = found.flip_rates.argmax(axis=1).astype(np.int64)
        rates = np.maximum(found.flip_rates[np.arange(len(best)), best], 0)
        return Labels(examples.y, np.where(rates > 0, best, examples.y), rates.astype(np.float32))
    return kept(highest(examples.y, found, treatment.most_percent))


def highest(own: NDArray[np.int64], found: Relabeling, most_percent: float) -> NDArray[np.int64]:
    """The new labels (n,), but of each class at most so many percent of its samples: those with the highest rates."""
    labels = found.labels.copy()
    for label in np.unique(own):
        members = np.flatnonzero(own == label)
        moved = members[found.labels[members] != label]
        most = int(most_percent / 100 * len(members))
        surplus = moved[np.argsort(-found.flip_rate[moved], kind="stable")[most:]]
        labels[surplus] = own[surplus]
    return labels

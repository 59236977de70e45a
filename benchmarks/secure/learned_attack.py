"""The attack that needs no idea of what to look for: trees learn from devices whose classes it knows.

Half of the devices are known, the other half is guessed, and the other way round. What is looked at: the words where a
plain update has its head, and how often each byte comes in the whole update and in the rest of what is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from benchmarks.leakage.attacks import Attacker
from benchmarks.leakage.measures import Guess, by_share, normalized
from fedrela.core.tensors import Params

_TREES = 60


@dataclass(frozen=True)
class Held:
    """What an attacker has of a device: what it takes for its update, and the text of its row."""

    device: int
    change: Params
    text: bytes


def guesses(who: Attacker, held: Sequence[Held], samples: float) -> list[Guess]:
    """One for each of `held`."""
    features = np.array([_features(who, one) for one in held])
    devices = np.array([one.device for one in held])
    shares = np.empty((len(held), who.observed.shares.shape[1]))
    for half in (0, 1):
        known, unknown = devices % 2 != half, devices % 2 == half
        trees = ExtraTreesRegressor(_TREES, min_samples_leaf=3, max_features="sqrt", random_state=0, n_jobs=1)
        trees.fit(features[known], who.observed.shares[devices[known]])
        shares[unknown] = trees.predict(features[unknown])
    return [by_share(normalized(own), samples) for own in shares]


def _features(who: Attacker, one: Held) -> NDArray[np.float64]:
    weight, bias = who.head(one.change)
    body = b"".join(array.tobytes() for array in one.change.values())
    return np.concatenate([bias, weight.sum(1), weight.ravel(), _byte_shares(body), _byte_shares(one.text)])


def _byte_shares(text: bytes) -> NDArray[np.float64]:
    counts = np.bincount(np.frombuffer(text, np.uint8), minlength=256)
    return counts / max(counts.sum(), 1)

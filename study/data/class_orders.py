"""Which class is rare, drawn: a data set's last classes may be its easy ones, and difficulty must not pass for rarity.

>>> order(10, seed=1).tolist() == order(10, seed=1).tolist() != order(10, seed=2).tolist()
True
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

from fedrela.core.streams import derive, permutation
from fedrela.study.data.prepared import Prepared

_SECRET = b"fedrela study"


def order(classes: int, *, seed: int) -> NDArray[np.int64]:
    """(classes,): the classes from the commonest to the rarest. One seed gives all methods the same order."""
    return permutation(derive(_SECRET, "class order", seed), classes)


def drawn(prepared: Prepared, seed: int) -> Prepared:
    """The same samples with classes numbered by their place in the order: label 0 becomes the commonest."""
    dataset = prepared.dataset
    places = np.argsort(order(dataset.classes, seed=seed)).astype(np.int64)
    renumbered = dataclasses.replace(dataset, y=places[dataset.y], y_test=places[dataset.y_test])
    return dataclasses.replace(prepared, dataset=renumbered)

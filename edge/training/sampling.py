"""Which samples an epoch trains on: all in random order, or as many of each class; as they are, or interpolated.

`local.sampling` and `local.synthesis` of the task choose them (see `fedrela.core.task.LocalTraining`). Labels
and their counts are looked at here, on the device, and go nowhere else. Draws come from the client round's streams:

    purpose              gives
    "shuffle", epoch     sampling "shuffle": the permutation of the n samples
    "sample", epoch      sampling "class-balanced": uniforms (n, 2); of K labels that are present, in ascending order,
                         slot i takes number floor(u_0 K), and of its members, in storage order, number floor(u_1 size)
    "synthesis", epoch   uniforms (n, 3) per slot; "mixup": partner floor(u_0 n) in the epoch's order, share u_1, and
                         the slot's own label where u_2 < u_1, else the partner's; "smote": neighbor floor(u_0 k) of k,
                         share 1 - u_1

Products with uniforms are exact in float64.

    >>> labels = np.array([0, 0, 0, 1])
    >>> drawn = plan(LocalTraining(sampling="class-balanced"), labels, lambda *why: streams.derive(b"s", *why), 0)
    >>> labels[drawn.rows].tolist()
    [1, 0, 1, 1]
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.core import streams
from fedrela.core.errors import InvalidTask
from fedrela.core.streams import Stream
from fedrela.core.task import LocalTraining
from fedrela.core.tensors import Array
from fedrela.edge.training.examples import Examples

NEIGHBOURS = 5  # as in the paper of SMOTE

Rows = NDArray[np.int64]
Draw = Callable[..., Stream]


@dataclass(frozen=True)
class EpochPlan:
    """The n slots of one epoch. Slot i is share * x[row] + (1 - share) * x[partner], labeled `labels[i]`."""

    rows: Rows  # (n,)
    labels: NDArray[np.int64]  # (n,)
    partners: Rows | None = None  # (n,); None: every slot is a sample as it is
    shares: NDArray[np.float64] | None = None  # (n,), in (0, 1]


def plan(
    local: LocalTraining,
    labels: NDArray[np.int64],
    draw: Draw,
    epoch: int,
    near: Mapping[int, Rows] | None = None,
) -> EpochPlan:
    """The plan of an epoch. `labels` (n,) are those trained on; `near` comes from `nearest`, for SMOTE."""
    count = len(labels)
    if local.sampling == "shuffle":
        rows = streams.permutation(draw("shuffle", epoch), count)
    else:
        rows = _balanced(labels, streams.uniforms(draw("sample", epoch), (count, 2)).astype(np.float64))
    if local.synthesis == "none":
        return EpochPlan(rows, labels[rows])
    uniforms = streams.uniforms(draw("synthesis", epoch), (count, 3)).astype(np.float64)
    if local.synthesis == "mixup":
        return _mixup(rows, labels, uniforms)
    return _smote(rows, labels, uniforms, near or {})


def take(examples: Examples, chosen: EpochPlan, slots: slice) -> tuple[dict[str, Array], NDArray[np.int64]]:
    """The inputs by name, each (B, ...), and labels (B,) of some slots.

    Interpolated bytes are rounded to the nearest, halves up. Raises InvalidTask for inputs that have no in-between.
    """
    rows, labels = chosen.rows[slots], chosen.labels[slots]
    if chosen.partners is None or chosen.shares is None:
        return {name: x[rows] for name, x in examples.x.items()}, labels
    partners, shares = chosen.partners[slots], chosen.shares[slots]
    return {name: _blend(name, x[rows], x[partners], shares) for name, x in examples.x.items()}, labels


def nearest(examples: Examples, labels: NDArray[np.int64]) -> dict[int, Rows]:
    """Row -> its up to 5 nearest rows of the same label, nearest first, on a tie the lower; minority classes only.

    A class is a minority where it has fewer samples than n / K, of K labels that are present, and at least 2.
    Distances are squared differences of the raw inputs in float64, which is exact for bytes.
    """
    present, sizes = np.unique(labels, return_counts=True)
    neighbors: dict[int, Rows] = {}
    for label, size in zip(present.tolist(), sizes.tolist(), strict=True):
        if 2 <= size < len(labels) / len(present):
            members = np.flatnonzero(labels == label)
            flat = np.concatenate(
                [x[members].reshape(size, -1).astype(np.float64) for x in examples.x.values()], axis=1
            )
            for slot, row in enumerate(members.tolist()):
                distances = np.square(flat - flat[slot]).sum(axis=1)
                distances[slot] = np.inf
                neighbors[row] = members[np.argsort(distances, kind="stable")[: min(NEIGHBOURS, size - 1)]]
    return neighbors


def _balanced(labels: NDArray[np.int64], uniforms: NDArray[np.float64]) -> Rows:
    """Draws with replacement: first a class, then a member."""
    present, sizes = np.unique(labels, return_counts=True)
    by_class = np.argsort(labels, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    chosen = (uniforms[:, 0] * len(present)).astype(np.int64)
    member = (uniforms[:, 1] * sizes[chosen]).astype(np.int64)
    return by_class[starts[chosen] + member].astype(np.int64)


def _mixup(rows: Rows, labels: NDArray[np.int64], uniforms: NDArray[np.float64]) -> EpochPlan:
    """mixup (Zhang et al., ICLR 2018) with Beta(1, 1) shares.

    The label is drawn by the share too: labels stay whole numbers, and the expected loss is mixup's.
    """
    partners = rows[(uniforms[:, 0] * len(rows)).astype(np.int64)]
    shares = uniforms[:, 1]
    mixed = np.where(uniforms[:, 2] < shares, labels[rows], labels[partners])
    return EpochPlan(rows, mixed, partners, shares)


def _smote(rows: Rows, labels: NDArray[np.int64], uniforms: NDArray[np.float64], near: Mapping[int, Rows]) -> EpochPlan:
    """SMOTE (Chawla et al., JAIR 2002): what a minority class lacks is filled up between neighbors of that class.

    A sample's first slot of an epoch is the sample itself; further slots are synthetic.
    """
    partners, shares = rows.copy(), np.ones(len(rows))
    first = np.zeros(len(rows), bool)
    first[np.unique(rows, return_index=True)[1]] = True
    for slot in np.flatnonzero(~first).tolist():
        candidates = near.get(int(rows[slot]))
        if candidates is not None:
            partners[slot] = candidates[int(uniforms[slot, 0] * len(candidates))]
            shares[slot] = 1 - uniforms[slot, 1]
    return EpochPlan(rows, labels[rows], partners, shares)


def _blend(name: str, own: Array, partner: Array, shares: NDArray[np.float64]) -> Array:
    if own.dtype != np.uint8 and own.dtype.kind != "f":
        raise InvalidTask(
            f"input {name!r} is {own.dtype}: there is nothing between two of its values",
            remedy='set local.synthesis = "none" for tokens and other whole numbers',
        )
    factor = shares.reshape(-1, *(1,) * (own.ndim - 1))
    mixed = own * factor + partner * (1 - factor)
    return (np.floor(mixed + 0.5) if own.dtype == np.uint8 else mixed).astype(own.dtype)

"""The batches of one device's round: by the device's own plan, with soft labels as two weighted rows.

for batch in of_round(treatment, engine.manifest, local, examples, labels, rates):
    engine.train_step(state, batch)
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from fedrela.core import streams
from fedrela.core.manifest import Manifest
from fedrela.core.tensors import Array
from fedrela.edge.engines.engine import Batch
from fedrela.edge.training import sampling
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound, class_prior, uniforms
from fedrela.edge.training.sampling import EpochPlan
from fedrela.study.loop import generator
from fedrela.study.loop.labels import Labels
from fedrela.study.treatments import Treatment

Taken = tuple[dict[str, Array], NDArray[np.int64]]


def of_round(
    treatment: Treatment,
    manifest: Manifest,
    local: LocalRound,
    examples: Examples,
    labels: Labels,
    rates: Mapping[str, float],
) -> Iterator[Batch]:
    """Every batch of a client round, in order; `rates` are the hyperparameters by name."""
    training, number = local.task.local, 0
    near = sampling.nearest(examples, labels.first) if training.synthesis == "smote" else None
    prior = class_prior(labels.first, manifest.classes) if manifest.train_step.role("class_prior") else None
    take = _generated(local, examples, labels) if treatment.synthesis == "generated" else _taken(examples)
    for epoch in range(training.epochs):
        plan = sampling.plan(training, labels.first, local.stream, epoch, near)
        for start in range(0, len(examples), training.batch_size):
            slots = slice(start, start + training.batch_size)
            x, y, weight = _both(labels, plan.rows[slots], *take(plan, slots))
            randoms = {
                item.name: uniforms(item, len(y), local.stream("train", number, item.name))
                for item in manifest.train_step.role("random")
            }
            yield Batch(x, y, weight, rates, randoms, prior)
            number += 1


def _both(
    labels: Labels, rows: NDArray[np.int64], x: Mapping[str, Array], y: NDArray[np.int64]
) -> tuple[Mapping[str, Array], NDArray[np.int64], NDArray[np.float32]]:
    """A sample with two labels comes twice: after the others, with its second label and that label's share."""
    shares = labels.shares[rows]
    twice = np.flatnonzero(shares)
    if not len(twice):
        return x, y, np.ones(len(y), np.float32)
    values = {name: np.concatenate([array, array[twice]]) for name, array in x.items()}
    return values, np.concatenate([y, labels.second[rows[twice]]]), np.concatenate([1 - shares, shares[twice]])


def _taken(examples: Examples) -> Callable[[EpochPlan, slice], Taken]:
    return lambda plan, slots: sampling.take(examples, plan, slots)


def _generated(local: LocalRound, examples: Examples, labels: Labels) -> Callable[[EpochPlan, slice], Taken]:
    """A sample's first slot of an epoch is the sample itself; further slots are made anew, of its class."""
    made_by = {name: generator.fit(x, labels.first) for name, x in examples.x.items()}
    seed = streams.words(local.stream("generate"), 4)
    rng = np.random.default_rng(seed)

    def take(plan: EpochPlan, slots: slice) -> Taken:
        x, y = sampling.take(examples, plan, slots)
        again = np.ones(len(plan.rows), bool)
        again[np.unique(plan.rows, return_index=True)[1]] = False
        for name, one in made_by.items():
            made = again[slots] & one.knows(y)
            x[name][made] = one.draw(y[made], rng)
        return x, y

    return take

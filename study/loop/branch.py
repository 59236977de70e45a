"""A branch by the study's own loop: every device trains by its own client's round, and the mean is taken here.

With the usual treatment it is what the emulated fleet does: same draws, same programs, same mean.

    state = run(branch, weights, path, committed)
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fedrela.core import tensors
from fedrela.core.aggregation import aggregate
from fedrela.core.task import Task
from fedrela.core.tensors import Params
from fedrela.edge.engines.engine import Engine
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.emulator.data.datasets import Dataset
from fedrela.emulator.data.shards import Shards
from fedrela.emulator.fleet.profiles import DeviceProfiles
from fedrela.study.loop import batches, drift, labels, noise
from fedrela.study.loop import state as states
from fedrela.study.loop.drift import Controls
from fedrela.study.loop.state import State
from fedrela.study.treatments import Treatment


@dataclass(frozen=True)
class Branch:
    """What is trained, on what, and how."""

    treatment: Treatment
    engine: Engine
    task: Task  # rounds, local training, and the re-labeling's settings; its rate is the trunk's in every round
    lr_scale: float  # of the rate, once `treatment.after` rounds are over
    shards: Shards
    dataset: Dataset

    @cached_property
    def examples(self) -> tuple[Examples, ...]:
        """What each device holds."""
        name = self.engine.manifest.x[0].name
        rows = [self.shards.indices(device) for device in range(self.shards.scenario.devices)]
        return tuple(Examples({name: self.dataset.x[own]}, self.dataset.y[own]) for own in rows)

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The weights that are trained; the others are statistics."""
        return frozenset(item.name for item in self.engine.manifest.train_step.role("parameter"))

    @cached_property
    def secrets(self) -> tuple[bytes, ...]:
        """What each device's draws follow from."""
        profiles = DeviceProfiles(self.shards.scenario)
        return tuple(profiles.of(device).secret for device in range(self.shards.scenario.devices))

    def local(self, device: int, number: int) -> LocalRound:
        """What a device's numbers of a round depend on."""
        return LocalRound(self.task, number, self.secrets[device])

    def rates(self, number: int) -> dict[str, float]:
        """The hyperparameters of a round."""
        rates = dict(local_round.hyperparameters(self.engine.manifest, LocalRound(self.task, number, b"")))
        return rates | {"lr": rates["lr"] * (self.lr_scale if number > self.treatment.after else 1.0)}


def run(branch: Branch, weights: Params, path: Path, committed: Callable[[int], None] = lambda number: None) -> State:
    """Train to the end of the branch; one that was killed goes on from the file `path`, to the bit as if it had not."""
    state = states.read(path, weights)
    if state is None:
        own = tuple(labels.kept(examples.y) for examples in branch.examples)
        state = State(0, weights, own, _controls(branch, weights))
    for number in range(state.round + 1, branch.task.rounds + 1):
        began = time.monotonic()
        state = _round(branch, state, number)
        state = dataclasses.replace(state, seconds=state.seconds + time.monotonic() - began)
        state.write(path)
        committed(number)
    return state


def _controls(branch: Branch, weights: Params) -> Controls | None:
    if branch.treatment.correction == "none":
        return None
    parameters = {name: array for name, array in weights.items() if name in branch.parameters}
    return drift.zero(parameters, len(branch.examples))


def _round(branch: Branch, state: State, number: int) -> State:
    treatment = branch.treatment
    if number == treatment.after + 1 and treatment.relabels != "none":
        state = dataclasses.replace(state, labels=tuple(_changed(branch, state, number)))
    rates, turns = branch.rates(number), range(len(branch.examples))
    trained = [_train(branch, state, device, number, rates) for device in turns]
    changes, controls = [change for change, _ in trained], state.controls
    if controls is not None:
        factor = drift.rate(rates)
        learned = [drift.learned(controls, device, *trained[device], factor) for device in turns]
        controls = drift.after(controls, learned)
    clip = state.clip
    if treatment.noise_multiplier:
        clip = noise.median_norm(changes, branch.parameters)
        rng = np.random.default_rng([branch.task.seed, number])
        mean = noise.mean(changes, branch.parameters, state.clip or clip, treatment.noise_multiplier, rng)
    else:
        sizes = [len(examples) for examples in branch.examples]
        mean = aggregate.mean(zip(changes, sizes, strict=True), zero=changes[0])
    return dataclasses.replace(
        state, round=number, weights=tensors.add(state.weights, mean), controls=controls, clip=clip
    )


def _changed(branch: Branch, state: State, number: int) -> Iterator[labels.Labels]:
    for device, examples in enumerate(branch.examples):
        local, counts = branch.local(device, number), branch.shards.class_counts
        yield labels.changed(branch.treatment, branch.engine, local, state.weights, examples, counts)


def _train(branch: Branch, state: State, device: int, number: int, rates: dict[str, float]) -> tuple[Params, int]:
    """A device's change of the weights, and over how many steps."""
    engine, local, steps = branch.engine, branch.local(device, number), 0
    running = engine.start(state.weights)
    of_round = batches.of_round(
        branch.treatment, engine.manifest, local, branch.examples[device], state.labels[device], rates
    )
    for batch in of_round:
        engine.train_step(running, batch)
        steps += 1
        if state.controls is not None:
            carried = drift.correct(engine.snapshot(running), state.controls, device, drift.rate(rates))
            running = engine.restore(state.weights, carried)
    return tensors.subtract(engine.weights(running), state.weights), steps

"""A fleet that trains as devices do, and all that its coordinator sees of it.

Local rounds, encodings and the mean are the product's own; only the network between them is left out. The truth, which
no coordinator has, is kept beside to judge guesses by.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrela.core import bundle, encodings, tensors
from fedrela.core.aggregation import aggregate, robust
from fedrela.core.data import partition
from fedrela.core.encodings import UpdateMetadata
from fedrela.core.errors import InvalidTensors
from fedrela.core.task import Aggregation, LocalTraining, Relabel, Rounds, Task
from fedrela.core.tensors import Params
from fedrela.core.wire import Encoding
from fedrela.edge.engines.engine import Engine
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.edge.training import local_round
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound
from fedrela.emulator import scenario
from fedrela.emulator.data import datasets, shards
from fedrela.emulator.data.datasets import Dataset
from fedrela.export import export_classifier
from fedrela.export.models import small_cnn

CLASSES, DEVICES, ROUNDS = 10, 12, 20
RELABEL_FROM = 17  # the first round that trains on re-labels, at a tenth of the learning rate
FLEET = """
name = "leakage"
devices = {devices}
seed = {seed}
[data]
dataset = "digits"
profile = "exponential"
imbalance = 50
split = "dirichlet"
alpha = 0.1
"""

BLIND = dict.fromkeys(("overall", "few"), 1 / CLASSES)  # the accuracy of a guess

Transform = Callable[[Params, np.random.Generator], Params]


@dataclass(frozen=True)
class Model:
    """An exported classifier, opened, and the weights that it starts from."""

    engine: Engine
    weights: Params

    @property
    def input(self) -> str:
        """The name of its one input."""
        return self.engine.manifest.x[0].name

    def predict(self, weights: Params, x: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Probabilities (n, C)."""
        return np.asarray(self.engine.predict(weights, {self.input: x}, {}), np.float64)


@dataclass(frozen=True)
class Observed:
    """A whole run: what the coordinator had (`checkpoints`, `changes`, `examples`), and the truth (`counts`).

    `changes`: (round from 1, device from 0) -> the change that its upload holds, decoded. `checkpoints`: by round, 0:
    the start weights. `accuracy`: of the last checkpoint, overall and over many, medium and few.
    """

    model: Model
    task: Task
    seed: int
    dataset: Dataset
    checkpoints: tuple[Params, ...]
    changes: dict[tuple[int, int], Params]
    counts: NDArray[np.int64]  # (devices, classes)
    accuracy: dict[str, float]

    @cached_property
    def examples(self) -> NDArray[np.int64]:
        """How many samples each device has said that it trained on, (devices,)."""
        return self.counts.sum(1)

    @cached_property
    def shares(self) -> NDArray[np.float64]:
        """Each device's class histogram, (devices, classes): what is to be guessed."""
        return self.counts / self.examples[:, None]


def export(folder: Path) -> Model:
    """The demo's small network."""
    import torch

    torch.manual_seed(0)
    export_classifier(
        small_cnn(),
        input="uint8:1x8x8",
        classes=CLASSES,
        mean=(0.305,),
        std=(0.376,),
        out=folder,
        private_key="6c" * 32,
    )
    opened = bundle.read(folder)
    programs = {
        name: (folder / getattr(opened.manifest, name).file("onnx").path).read_bytes() for name in bundle.PROGRAMS
    }
    return Model(OnnxEngine(opened.manifest, programs, threads=1), opened.weights)


def task_of(seed: int, encoding: Encoding, *, by_examples: bool = True) -> Task:
    """The demo's task, with fewer rounds."""
    return Task(
        name="leakage",
        rounds=ROUNDS,
        seed=seed,
        local=LocalTraining(hyperparameters={"lr": 0.05, "momentum": 0.9}),
        relabel=Relabel(start=RELABEL_FROM, threshold_percent=10.0),
        round=Rounds(goal=DEVICES),
        aggregation=Aggregation(encoding=encoding, weight_by_examples=by_examples),
    )


def train(model: Model, seed: int, encoding: Encoding = "float32") -> Observed:
    """Federated averaging over all devices in every round, every upload kept."""
    return _train(model, task_of(seed, encoding), lambda change, rng: change, lambda change, rng: change)


def accuracy_with_noise(model: Model, seed: int, *, clip_norm: float, multiplier: float) -> dict[str, float]:
    """What clipped updates that count alike, and Gaussian noise in their sum, leave of accuracy.

    Where noise is so large that training diverges, a blind guess is left.
    """
    scale = multiplier * clip_norm / DEVICES

    def noisy(change: Params, rng: np.random.Generator) -> Params:
        return add_noise(change, scale, rng) if multiplier else change

    task = task_of(seed, "float32", by_examples=False)
    try:
        return _train(model, task, lambda change, rng: robust.clip(change, clip_norm), noisy).accuracy
    except InvalidTensors:
        return BLIND


def simulate(observed: Observed, number: int, examples: Examples, secret: bytes) -> Params | None:
    """The change that a device with these examples would upload in round `number`; None where its training diverges."""
    local = LocalRound(observed.task, number, secret)
    base = observed.checkpoints[number - 1]
    change = _local_change(observed.model, local, base, examples, examples.y)
    try:
        body, _ = _encode(change, local, len(examples), None)
    except InvalidTensors:
        return None
    return encodings.decode(body, observed.model.engine.manifest.weights, observed.task.aggregation.encoding)[0]


def weighted_mean(changes: list[Params], weights: list[float]) -> Params:
    """What a coordinator holds that was given a sum: sum of weight * change over the sum of weights."""
    return aggregate.mean(zip(changes, weights, strict=True), zero=changes[0])


def add_noise(change: Params, scale: float, rng: np.random.Generator) -> Params:
    """Gaussian noise of that standard deviation on every element."""
    return {name: array + rng.normal(0, scale, array.shape).astype(np.float32) for name, array in change.items()}


def _train(model: Model, task: Task, each: Transform, together: Transform) -> Observed:
    dataset = datasets.load("digits", test_per_class=40, seed=task.seed)
    fleet = scenario.from_toml(FLEET.format(devices=DEVICES, seed=task.seed))
    dealt = shards.deal(fleet, dataset)
    held = [_examples(model, dataset, dealt.indices(device)) for device in range(DEVICES)]
    secrets = [hashlib.sha256(f"leakage {task.seed} {device}".encode()).digest() for device in range(DEVICES)]
    labels = [examples.y for examples in held]
    rng = np.random.default_rng([task.seed, 77])
    residuals: list[Params | None] = [None] * DEVICES
    checkpoints, changes = [model.weights], {}
    for number in range(1, task.rounds + 1):
        base = checkpoints[-1]
        for device, examples in enumerate(held):
            local = LocalRound(task, number, secrets[device])
            if number == RELABEL_FROM:
                labels[device] = local_round.relabel(model.engine, local, base, examples)
            change = each(_local_change(model, local, base, examples, labels[device]), rng)
            body, dropped = _encode(change, local, len(examples), residuals[device])
            residuals[device] = dropped or None
            changes[number, device] = encodings.decode(body, model.engine.manifest.weights, task.aggregation.encoding)[
                0
            ]
        weights = [float(len(e)) if task.aggregation.weight_by_examples else 1.0 for e in held]
        mean = weighted_mean([changes[number, device] for device in range(DEVICES)], weights)
        checkpoints.append(tensors.add(base, together(mean, rng)))
    counts = np.array([np.bincount(examples.y, minlength=CLASSES) for examples in held])
    accuracy = _accuracy(model, checkpoints[-1], dataset, dealt.class_counts)
    return Observed(model, task, task.seed, dataset, tuple(checkpoints), changes, counts, accuracy)


def _examples(model: Model, dataset: Dataset, rows: NDArray[np.int64]) -> Examples:
    return Examples({model.input: dataset.x[rows]}, dataset.y[rows])


def _local_change(
    model: Model, local: LocalRound, base: Params, examples: Examples, labels: NDArray[np.int64]
) -> Params:
    state = model.engine.start(base)
    for _ in local_round.train(model.engine, local, examples, labels, state):
        pass
    return local_round.change(model.engine, state, base)


def _encode(change: Params, local: LocalRound, samples: int, residual: Params | None) -> tuple[bytes, Params]:
    aggregation = local.task.aggregation
    return encodings.encode(
        change,
        UpdateMetadata(samples, aggregation.encoding),
        stream=local.stream("encode"),
        residual=residual,
        top_k_fraction=aggregation.top_k_fraction,
    )


def _accuracy(model: Model, weights: Params, dataset: Dataset, class_counts: NDArray[np.int64]) -> dict[str, float]:
    """On the balanced test set; weights that are not numbers any more guess blindly."""
    if not all(np.isfinite(array).all() for array in weights.values()):
        return BLIND
    predicted = model.predict(weights, dataset.x_test).argmax(1)
    measured = partition.accuracy(predicted, dataset.y_test, partition.frequency_groups(class_counts), CLASSES)
    return {"overall": measured.overall, "few": measured.few}

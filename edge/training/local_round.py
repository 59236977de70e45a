"""One local round: re-label when due, train for some epochs, give the change of weights. No IO, no clock.

Every random number comes from `derive(device secret, "fedrela/v1", task.seed, round, purpose...)`:

    purpose                                     gives
    "shuffle", epoch                            the permutation of the n samples in that epoch (from 0)
    "sample" or "synthesis", epoch              see fedrela.edge.training.sampling: for tasks that ask for it
    "train", step, input name                   uniforms for that random input; step counts from 0 through the round
    "relabel-pass", pass, batch index, name     uniforms for a random input of `predict`
    "relabel-draw"                              uniforms (n, C) of the re-labeling
    "encode"                                    the update's encoding

so a round can be resumed at any step, replayed, and written again in another language.

    local = LocalRound(task, round, secret)
    labels = relabel(engine, local, weights, examples) if local.generation else examples.y
    for steps in train(engine, local, examples, labels, engine.start(weights)):
        print(steps[-1].number, steps[-1].totals)
    update = change(engine, state, weights)
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrela.core import golden, streams, tensors
from fedrela.core.bundle import Manifest, ProgramInput
from fedrela.core.errors import InvalidTask, InvalidTensors
from fedrela.core.streams import Stream
from fedrela.core.task import Task
from fedrela.core.tensors import Array, Params
from fedrela.edge.engines.engine import Batch, Engine, State, StepTotals
from fedrela.edge.training import sampling
from fedrela.edge.training.examples import Examples

PREDICT_BATCH = 256

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class LocalRound:
    """What the numbers of one device's client round depend on, beside its data and the global weights."""

    task: Task
    round: int
    secret: bytes

    def stream(self, *purpose: str | int) -> Stream:
        """The stream for a purpose of the table above."""
        return streams.derive(self.secret, "fedrela/v1", self.task.seed, self.round, *purpose)

    @property
    def generation(self) -> int:
        """Which re-labeling this round trains on; 0: the original labels."""
        return self.task.relabel.generation(self.round, self.task.rounds)


@dataclass(frozen=True)
class Step:
    """One finished training step: `number` of `total`, from 1, in `epoch`, from 0."""

    number: int
    total: int
    epoch: int
    totals: StepTotals


def step_count(task: Task, samples: int) -> int:
    """Steps of one client round over `samples` samples."""
    per_epoch = -(-samples // task.local.batch_size)
    needed = per_epoch * task.local.epochs
    return min(needed, task.local.max_steps) if task.local.max_steps else needed


def relabel(
    engine: Engine, local: LocalRound, weights: Params, examples: Examples, between: Callable[[], None] = lambda: None
) -> Labels:
    """New labels (n,), by `fedrela.core.relabel`, from the global model's probabilities averaged over the task's
    passes.
    """
    probabilities = predict(engine, local, weights, examples, between)
    uniforms = streams.uniforms(local.stream("relabel-draw"), probabilities.shape)
    return engine.relabel(probabilities, examples.y, uniforms, local.task.relabel.threshold_percent)


def is_usable(engine: Engine, weights: Params) -> bool:
    """Whether a global model predicts numbers on the golden inputs; nobody could train one that doesn't."""
    predict_program = engine.manifest.predict
    fed = golden.inputs(engine.manifest, "predict", 0, without=("parameter", "buffer"))
    x, randoms = ({item.name: fed[item.name] for item in predict_program.role(role)} for role in ("x", "random"))
    return bool(np.isfinite(engine.predict(weights, x, randoms)).all())


def predict(
    engine: Engine, local: LocalRound, weights: Params, examples: Examples, between: Callable[[], None] = lambda: None
) -> NDArray[np.float32]:
    """Probabilities (n, C): the mean over the passes, summed in float64, rounded to float32 once.

    Without random inputs every pass gives the same, so one is enough. `between` is called before each batch, and may
    raise. Raises InvalidTensors for a prediction that is no number: no label and no total follows from one.
    """
    randoms = engine.manifest.predict.role("random")
    passes = local.task.relabel.passes if randoms else 1
    total = np.zeros((len(examples), engine.manifest.classes), np.float64)
    for number in range(passes):
        for index, start in enumerate(range(0, len(examples), PREDICT_BATCH)):
            between()
            rows = slice(start, min(start + PREDICT_BATCH, len(examples)))
            size = rows.stop - rows.start
            drawn = {
                item.name: uniforms(item, size, local.stream("relabel-pass", number, index, item.name))
                for item in randoms
            }
            total[rows] += engine.predict(weights, {name: x[rows] for name, x in examples.x.items()}, drawn)
    probabilities = (total / passes).astype(np.float32)
    if not np.isfinite(probabilities).all():
        raise InvalidTensors(
            "the global model's predictions on these examples are not finite",
            remedy="look for values among them that are far larger than the others",
        )
    return probabilities


def train(
    engine: Engine,
    local: LocalRound,
    examples: Examples,
    labels: Labels,
    state: State,
    *,
    done: int = 0,
    stop_every: int = 0,
) -> Iterator[list[Step]]:
    """Train `state` in place, yielding the steps that the engine did at once; `done` steps are already in `state`.

    Batches are consecutive slices of each epoch's plan; the last of an epoch may be shorter. The caller may stop
    between any two yields, and go on later from `engine.snapshot` with `done` = the last step's number; every multiple
    of `stop_every` is the last number of one, if it isn't 0.
    """
    total, per_epoch = step_count(local.task, len(examples)), -(-len(examples) // local.task.local.batch_size)
    batches = _batches(engine.manifest, local, examples, labels, range(done, total))
    while done < total:
        most = min(total - done, stop_every - done % stop_every) if stop_every else total - done
        totals = engine.train_steps(state, batches, most)
        yield [Step(number + 1, total, number // per_epoch, one) for number, one in enumerate(totals, done)]
        done += len(totals)


def _batches(
    manifest: Manifest, local: LocalRound, examples: Examples, labels: Labels, numbers: range
) -> Iterator[Batch]:
    training = local.task.local
    rates = hyperparameters(manifest, local)
    prior = class_prior(labels, manifest.classes) if manifest.train_step.role("class_prior") else None
    randoms = manifest.train_step.role("random")
    per_epoch = -(-len(examples) // training.batch_size)
    near = sampling.nearest(examples, labels) if training.synthesis == "smote" else None
    order, ordered_epoch = sampling.EpochPlan(labels, labels), -1
    for number in numbers:
        epoch, slot = divmod(number, per_epoch)
        if epoch != ordered_epoch:
            order, ordered_epoch = sampling.plan(training, labels, local.stream, epoch, near), epoch
        x, y = sampling.take(examples, order, slice(slot * training.batch_size, (slot + 1) * training.batch_size))
        yield Batch(
            x=x,
            y=y,
            weight=np.ones(len(y), np.float32),
            hyperparameters=rates,
            randoms={item.name: uniforms(item, len(y), local.stream("train", number, item.name)) for item in randoms},
            class_prior=prior,
        )


def change(engine: Engine, state: State, weights: Params) -> Params:
    """The update: local minus global weights, in manifest order."""
    return tensors.subtract(engine.weights(state), weights)


def hyperparameters(manifest: Manifest, local: LocalRound) -> Mapping[str, float]:
    """The task's values over the manifest's defaults; `lr` times the task's factor for this round.

    Raises InvalidTask for a name that the program doesn't take, and for one that nothing sets.
    """
    names = [item.name for item in manifest.train_step.role("hyperparameter")]
    unknown = [name for name in local.task.local.hyperparameters if name not in names]
    if unknown:
        raise InvalidTask(
            f"the program takes no hyperparameter {unknown[0]!r}", remedy=f"use one of {', '.join(names) or 'none'}"
        )
    values = {**(manifest.hyperparameters or {}), **local.task.local.hyperparameters}
    missing = [name for name in names if name not in values]
    if missing:
        raise InvalidTask(
            f"nothing sets the hyperparameter {missing[0]!r}",
            remedy=f"set local.hyperparameters.{missing[0]} in the task",
        )
    factor = local.task.lr_factor(local.round)
    return {name: values[name] * factor if name == "lr" else values[name] for name in names}


def class_prior(labels: Labels, classes: int) -> NDArray[np.float32]:
    """The shares (C,) of the labels that are trained on. They feed the loss and go nowhere else."""
    return (np.bincount(labels, minlength=classes) / len(labels)).astype(np.float32)


def uniforms(item: ProgramInput, size: int, stream: Stream) -> Array:
    """What a random input of a program is fed for a batch of `size`."""
    return streams.uniforms(stream, tuple(size if isinstance(d, str) else d for d in item.shape))

"""Local evaluation: a share of the examples that is never trained on, and totals over it.

Off unless the owner sets a share; reported only if the task asks and the owner allows. Which samples are held out
depends on their keys and the device's secret, so the choice is stable while data grow.
"""

import hashlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fedrela.core.tensors import Params
from fedrela.core.wire import EvaluationReport
from fedrela.edge.engines.engine import Engine
from fedrela.edge.training.examples import Examples
from fedrela.edge.training.local_round import LocalRound, predict


def split(examples: Examples, fraction: float, secret: bytes) -> tuple[Examples, Examples]:
    """(to train on, held out). At least one example stays to train on."""
    if fraction <= 0:
        nothing = Examples({name: x[:0] for name, x in examples.x.items()}, examples.y[:0], np.empty(0, np.uint64))
        return examples, nothing
    held = held_out(examples.keys, fraction, secret)
    return examples.take(np.flatnonzero(~held)), examples.take(np.flatnonzero(held))


def held_out(keys: NDArray[np.uint64], fraction: float, secret: bytes) -> NDArray[np.bool_]:
    """Which of the samples (n,) are set aside: not all of them."""
    key = hashlib.blake2b(secret, digest_size=32).digest()
    draws = [hashlib.blake2b(sample.tobytes(), key=key, digest_size=8).digest() for sample in keys]
    held: NDArray[np.bool_] = np.array([int.from_bytes(draw, "little") / 2.0**64 for draw in draws]) < fraction
    held[0] &= not held.all()
    return held


def evaluate(
    engine: Engine, local: LocalRound, weights: Params, held_out: Examples, between: Callable[[], None] = lambda: None
) -> EvaluationReport:
    """Totals of the global model over the hold-out: cross-entropy in nats, correct answers, examples."""
    return totals(predict(engine, local, weights, held_out, between), held_out.y)


def totals(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> EvaluationReport:
    """The report of probabilities (n, C) and labels (n,)."""
    chosen = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    loss = float(-np.log(np.maximum(chosen, 1e-12)).sum())
    correct = int((probabilities.argmax(axis=1) == labels).sum())
    return EvaluationReport(loss_sum=loss, correct=correct, examples=len(labels))

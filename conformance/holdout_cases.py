"""Vectors for the hold-out: which samples are set aside, and totals of given probabilities.

>>> [case["held"] for case in build()["split"] if case["fraction"] == 0]
[[]]
"""

from typing import Any

import numpy as np

from fedrela.core import streams
from fedrela.edge.training import holdout
from fedrela.edge.training.examples import Examples

SECRET = bytes(range(32))
KEYS = (*range(40), 2**32, 2**53 - 1)
CLASSES = 4


def build() -> dict[str, Any]:
    """The document."""
    return {
        "split": [_split(secret, fraction) for secret, fraction in
                  ((SECRET, 0.0), (SECRET, 0.2), (SECRET, 0.5), (b"another", 0.2), (SECRET, 0.999999))],
        "totals": [_totals(n) for n in (1, 9)],
    }  # fmt: skip


def _split(secret: bytes, fraction: float) -> dict[str, Any]:
    keys = np.array(KEYS, np.uint64)
    examples = Examples({"x": np.zeros((len(keys), 1), np.float32)}, np.zeros(len(keys), np.int64), keys)
    _, held_out = holdout.split(examples, fraction, secret)
    return {"secret": secret.hex(), "fraction": fraction, "keys": list(KEYS), "held": held_out.keys.tolist()}


def _totals(n: int) -> dict[str, Any]:
    stream = streams.derive(b"hold-out", n)
    drawn = streams.uniforms(stream, (n, CLASSES)).astype(np.float64)
    probabilities = (drawn / drawn.sum(axis=1, keepdims=True)).astype(np.float32)
    labels = np.arange(n) % CLASSES
    if n > 1:
        probabilities[1] = 0.25  # a tie: the lower class is the answer
        probabilities[2] = (1, 0, 0, 0)  # a chosen probability of zero counts as 1e-12
    report = holdout.totals(probabilities, labels)
    return {
        "classes": CLASSES,
        "probabilities": probabilities.reshape(-1).tolist(),
        "labels": labels.tolist(),
        "loss_sum": report.loss_sum,
        "correct": report.correct,
        "examples": report.examples,
    }

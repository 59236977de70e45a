"""Vectors for a device's samples: which class a label is, which sample is which, which are set aside, and totals.

>>> [case["held"] for case in holdout_document()["split"] if case["fraction"] == 0]
[[]]
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from fedrela.core import streams
from fedrela.edge.training import holdout
from fedrela.edge.training.examples import Examples

SECRET = bytes(range(32))
KEYS = (*range(40), 2**32, 2**53 - 1)
CLASSES = 4


PETS, DIGITS, ACCENT = ["cat", "dog"], ["3", "5", "7"], ["caf\u00e9", "bar"]

# Labels as a file has them, and their classes; None: refused.
LABELS: tuple[tuple[str, list[str], int, list[Any], list[int] | None], ...] = (
    ("names", PETS, 2, ["dog", "cat", "dog"], [1, 0, 1]),
    ("numbers of named classes", PETS, 2, [1, 0, "0"], [1, 0, 0]),
    ("numbers as a spreadsheet writes them", [], 12, [f"{number}.0" for number in range(12)], list(range(12))),
    ("leading zeros", [], 3, ["00", "02"], [0, 2]),
    ("real numbers that are whole", [], 3, [2.0, 0.0], [2, 0]),
    ("classes that are numbers go by name", DIGITS, 3, ["7", "3.0"], [2, 0]),
    ("an accent in two code points", ACCENT, 2, ["cafe\u0301"], [0]),
    ("a place where classes are numbers", DIGITS, 3, ["1"], None),
    ("a place where classes are numbers, as a number", DIGITS, 3, [0], None),
    ("minus one for unknown", [], 3, ["-1", "0", "1"], None),
    ("an empty cell", [], 3, ["", "1", "2"], None),
    ("a class too many", [], 3, [0, 3], None),
    ("half a class", [], 3, [0.5], None),
    ("names that the model doesn't declare", [], 2, ["cat", "dog"], None),
    ("a name that the model doesn't declare", PETS, 2, ["cat", "bee"], None),
    ("another case", PETS, 2, ["Cat"], None),
    ("not a number", [], 2, ["nan"], None),
)

# Samples by their values, as read again later: what a re-labeling kept must be laid over the same samples.
MADE = {"values": [5, 7, 5, 9], "labels": [0, 1, 0, 2], "relabeled": [0, 2, 1, 2]}
READ_AGAIN: tuple[tuple[str, list[int], list[int], list[int]], ...] = (
    ("the same data", [5, 7, 5, 9], [0, 1, 0, 2], [0, 2, 1, 2]),
    ("rows were put in front", [1, 2, 5, 7, 5, 9], [0, 0, 0, 1, 0, 2], [0, 0, 0, 2, 1, 2]),
    ("another order", [9, 7, 5, 5], [2, 1, 0, 0], [2, 2, 0, 1]),
    ("rows went", [7, 9], [1, 2], [2, 2]),
    ("one of two equal samples went", [5, 7, 9], [0, 1, 2], [0, 2, 2]),
    ("a third equal sample came", [5, 5, 5, 7], [0, 0, 0, 1], [0, 1, 0, 2]),
    ("equal samples have different labels", [5, 5, 7], [1, 2, 1], [1, 1, 2]),
    ("the owner corrected a label", [5, 7, 5, 9], [0, 0, 0, 2], [0, 2, 1, 2]),
)


def build() -> dict[str, Any]:
    """The document samples.json."""
    return {"labels": list(_labels()), "read_again": list(_read_again())}


def _labels() -> Iterator[dict[str, Any]]:
    for name, names, classes, labels, numbers in LABELS:
        outcome: dict[str, Any] = {"refused": True} if numbers is None else {"numbers": numbers}
        yield {"name": name, "class_names": names, "classes": classes, "labels": labels, **outcome}


def _read_again() -> Iterator[dict[str, Any]]:
    for name, values, labels, train_on in READ_AGAIN:
        yield {"name": name, "made": MADE, "later": {"values": values, "labels": labels}, "train_on": train_on}


def holdout_document() -> dict[str, Any]:
    """The document holdout.json."""
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

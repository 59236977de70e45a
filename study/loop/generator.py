"""A generator that a phone can afford: a Gaussian of each class among the principal components of a device's samples.

A class's covariance is drawn towards the one that all of the device's classes share, as if ten more samples had shown
that one: a class of two samples has next to none of its own. It takes one decomposition and no training.

    made = fit(examples.x["x"], labels).draw(np.array([3, 3]), np.random.default_rng(1))       # (2, ...)
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedrela.core.errors import InvalidInput
from fedrela.core.tensors import Array

COMPONENTS = 32
_SHARED_SAMPLES = 10  # what the shared covariance counts as
_FEWEST = 2  # samples of a class
_FLOOR = 1e-6

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Generator:
    """Of one device: it never leaves it."""

    center: Floats  # (d,)
    basis: Floats  # (k, d), orthonormal rows
    means: dict[int, Floats]  # of each class with at least two samples, (k,)
    factors: dict[int, Floats]  # (k, k), lower triangles: factor @ factor.T is the covariance
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def knows(self, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
        """Of which of these classes (n,) it can make samples."""
        return np.isin(labels, list(self.means))

    def draw(self, labels: NDArray[np.integer], rng: np.random.Generator) -> Array:
        """A new sample (n, ...) of each of these classes; bytes are rounded to the nearest."""
        normals = rng.standard_normal((len(labels), len(self.basis)))
        drawn = zip(labels.tolist(), normals, strict=True)
        places = [self.means[label] + self.factors[label] @ normal for label, normal in drawn]
        values = np.reshape(places, (-1, len(self.basis))) @ self.basis + self.center
        if self.dtype == np.uint8:
            values = np.clip(np.floor(values + 0.5), 0, 255)
        return values.reshape(-1, *self.shape).astype(self.dtype)


def fit(x: Array, labels: NDArray[np.integer], components: int = COMPONENTS) -> Generator:
    """From a device's samples x (n, ...), of labels (n,). Raises InvalidInput for samples with nothing in between."""
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise InvalidInput(f"samples of {x.dtype} can't be generated", remedy="use pictures or measured values")
    flat = x.reshape(len(x), -1).astype(np.float64)
    center = flat.mean(axis=0)
    basis = np.linalg.svd(flat - center, full_matrices=False)[2][: min(components, len(x) - 1)]
    places = (flat - center) @ basis.T
    present = [label for label in np.unique(labels).tolist() if (labels == label).sum() >= _FEWEST]
    means = {label: places[labels == label].mean(axis=0) for label in present}
    within = {label: places[labels == label] - means[label] for label in present}
    shared = sum((rows.T @ rows for rows in within.values()), np.zeros((len(basis), len(basis))))
    shared = shared / max(sum(map(len, within.values())), 1)
    factors = {
        label: np.linalg.cholesky(
            (rows.T @ rows + _SHARED_SAMPLES * shared) / (len(rows) + _SHARED_SAMPLES)
            + _FLOOR * (1 + np.trace(shared)) * np.eye(len(basis))
        )
        for label, rows in within.items()
    }
    return Generator(center, basis, means, factors, x.shape[1:], x.dtype)

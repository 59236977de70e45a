"""A dataset that is ready for a study's cells."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrela.emulator.data.datasets import Dataset


@dataclass(frozen=True)
class Prepared:
    """A dataset, the .npz that every emulated device's process reads it from, and a hash of all its values."""

    dataset: Dataset
    npz: Path
    sha256: str
    owners: NDArray[np.int64] | None = None  # of the training part, (n,), where samples have owners
    test_owners: NDArray[np.int64] | None = None  # of the test part, (m,)

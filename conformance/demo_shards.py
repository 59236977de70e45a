"""`python -m fedrela.conformance.demo_shards` writes the phone page's demonstration data: eight long-tailed shards of
digits.

scikit-learn's handwritten digits (UCI, CC BY 4.0), 8x8 and 20:1 long-tailed, split by Dirichlet(0.3): what eight very
different devices might hold. Needs the emulator extra.

    $ python -m fedrela.conformance.demo_shards
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrela.core import tensors
from fedrela.core.data import partition

FOLDER = Path(__file__).resolve().parents[1] / "web" / "public" / "demo"
SHARDS = 8
SEED = 8


def load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """All digits: x (n, 1, 8, 8) and y (n,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.round(digits.images * (255 / 16)).astype(np.uint8)[:, None], digits.target.astype(np.int64)


def choose(y: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """The rows that the shards share out: class 0 is the most common, class 9 the rarest."""
    return partition.take_profile(y, partition.exponential_profile(classes=10, largest=170, imbalance=20), rng)


def write_test_set(path: Path) -> None:
    """The digits that are in no shard, as .npz: an operator's own test set."""
    x, y = load()
    others = np.setdiff1d(np.arange(len(y)), choose(y, np.random.default_rng(SEED)))
    np.savez(path, x=x[others], y=y[others])


def main() -> None:
    """Write every shard: x (n, 1, 8, 8) uint8 and y (n,) int64."""
    x, y = load()
    rng = np.random.default_rng(SEED)
    chosen = choose(y, rng)
    FOLDER.mkdir(parents=True, exist_ok=True)
    shards = partition.dirichlet_split(y[chosen], devices=SHARDS, alpha=0.3, rng=rng, minimum=20)
    for number, rows in enumerate(shards):
        body = tensors.to_bytes({"x": x[chosen[rows]], "y": y[chosen[rows]]})
        (FOLDER / f"digits-{number}.safetensors").write_bytes(body)
        print(f"digits-{number}.safetensors  {len(rows)} samples, {len(body)} bytes")


if __name__ == "__main__":
    main()

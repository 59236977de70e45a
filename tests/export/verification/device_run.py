"""What a device does with a bundle, for one environment after another: the self-test, two steps, a prediction.

python -m tests.export.verification.device_run BUNDLE RESULT.npz     # torch is not needed
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

from fedrela.core import bundle
from fedrela.core.bundle import ProgramInput
from fedrela.core.tensors import Array
from fedrela.edge.engines.engine import Batch
from fedrela.edge.engines.pool import EnginePool, self_test

BATCH = 8


def main(folder: Path, result: Path) -> None:
    """Train from the bundle's weights; write the new ones, the probabilities and the runtime's version."""
    opened = bundle.read(folder)
    manifest = opened.manifest
    engine = EnginePool().open("", manifest, lambda file: (folder / file.path).read_bytes())
    self_test(engine, (folder / manifest.golden.path).read_bytes())
    rng = np.random.default_rng(0)
    weights = opened.weights
    state = engine.start(weights)
    step = manifest.train_step
    rates = {item.name: {"lr": 0.01, "momentum": 0.9}.get(item.name, 0.0) for item in step.role("hyperparameter")}
    for _ in range(2):
        x = {item.name: _drawn(rng, item) for item in step.role("x")}
        randoms = {item.name: _drawn(rng, item) for item in step.role("random")}
        labels = rng.integers(0, manifest.classes, BATCH)
        engine.train_step(state, Batch(x, labels, np.ones(BATCH, np.float32), rates, randoms))
    trained = engine.weights(state)
    known = {item.name: _drawn(rng, item) for item in manifest.predict.role("random")}
    probabilities = engine.predict(trained, x, known)
    arrays = {"probabilities": probabilities, **trained}
    np.savez(result, version=onnxruntime.__version__, **arrays)  # type: ignore[arg-type]  # numpy's options are no arrays


def _drawn(rng: np.random.Generator, item: ProgramInput) -> Array:
    shape = tuple(BATCH if size == "B" else int(size) for size in item.shape)
    if np.issubdtype(np.dtype(item.dtype), np.floating):
        return rng.random(shape, dtype=np.float32)
    return rng.integers(0, 5, shape).astype(item.dtype)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""How much longer a training step takes in a process of its own: the same batches on both engines, in turn.

step_share(bundle.read(folder))
"""

import statistics
import time

import numpy as np

from fedrela.core.bundle import Bundle, ProgramInput
from fedrela.core.tensors import Array
from fedrela.edge.engines.engine import Batch, Engine
from fedrela.edge.engines.pool import EnginePool
from fedrela.edge.sandbox.process import Sandbox

BATCH, STEPS_IN_A_BLOCK = 32, 100  # ten epochs of 320 samples


def step_share(bundle: Bundle, *, blocks: int = 120) -> float:
    """Seconds of a step in a sandbox over seconds of one in this process: the median over pairs of blocks."""
    sandbox = Sandbox(("onnx",))
    pools = [EnginePool(), EnginePool(sandbox=sandbox)]
    read = bundle.folder
    engines = [pool.open("m", bundle.manifest, lambda file: (read / file.path).read_bytes()) for pool in pools]
    states = [engine.start(bundle.weights) for engine in engines]
    batches = [_batch(bundle, number) for number in range(STEPS_IN_A_BLOCK)]
    shares = []
    for number in range(blocks + 1):
        seconds = [_seconds(engine, state, batches) for engine, state in zip(engines, states, strict=True)]
        if number:  # the first opens sessions
            shares.append(seconds[1] / seconds[0])
    sandbox.close()
    return round(statistics.median(shares), 3)


def _seconds(engine: Engine, state: object, batches: list[Batch]) -> float:
    started = time.perf_counter()
    drawn, done = iter(batches), 0
    while done < len(batches):  # as a round does it: every step has arrays of its own
        done += len(engine.train_steps(state, drawn, len(batches) - done))
    return time.perf_counter() - started


def _batch(bundle: Bundle, number: int) -> Batch:
    rng = np.random.default_rng(number)
    step = bundle.manifest.train_step
    rates = {item.name: {"lr": 0.01}.get(item.name, 0.5) for item in step.role("hyperparameter")}
    x = {item.name: _drawn(rng, item) for item in step.role("x")}
    randoms = {item.name: _drawn(rng, item) for item in step.role("random")}
    return Batch(x, rng.integers(0, bundle.manifest.classes, BATCH), np.ones(BATCH, np.float32), rates, randoms)


def _drawn(rng: np.random.Generator, item: ProgramInput) -> Array:
    shape = tuple(BATCH if size == "B" else int(size) for size in item.shape)
    if item.dtype == "float32":
        return rng.random(shape, dtype=np.float32)
    return rng.integers(0, 100, shape).astype(item.dtype)

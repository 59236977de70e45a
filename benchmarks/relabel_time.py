"""Is re-labeling cheap next to what it needs anyway, one prediction of every sample?

    python -m benchmarks.relabel_time                n = 50 000 samples, 100 classes, one thread

Times the exported `relabel` program on the device's engine against one prediction pass of the small CNN over as many
1x28x28 samples in slices of 256, and checks the labels against `fedrela.core.relabel`. Processor time, the best of
three.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.step.models import lower
from fedrela.core import relabel as specification
from fedrela.edge.engines.onnx_engine import OnnxEngine
from fedrela.export import models

RESULTS = Path(__file__).parent / "results" / "relabel_time.json"
SLICE = 256


def main() -> None:
    """Measure, print, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--classes", type=int, default=100)
    options = parser.parse_args()
    n, classes = options.samples, options.classes
    torch.manual_seed(0)
    net = partial(models.small_cnn, channels=1, size=28, classes=classes)
    small = lower("small CNN", net(), "float32:1x28x28", classes, ("onnx",), ("predict", "relabel"))
    engine = OnnxEngine(small.manifest, small.programs["onnx"], threads=1)
    generator = np.random.default_rng(0)
    x = generator.standard_normal((n, 1, 28, 28), dtype=np.float32)
    probabilities = generator.dirichlet(np.full(classes, 0.1), n).astype(np.float32)
    labels = (generator.random(n) ** 2 * classes).astype(np.int64)
    uniforms = generator.random((n, classes), dtype=np.float32)

    def predict() -> None:
        for start in range(0, n, SLICE):
            engine.predict(small.weights, {"x": x[start : start + SLICE]}, {})

    predict_seconds = _best(predict)
    relabel_seconds = _best(lambda: engine.relabel(probabilities, labels, uniforms, 5.0))
    got = engine.relabel(probabilities, labels, uniforms, 5.0)
    want = specification.relabel(probabilities, labels, uniforms, threshold_percent=5.0).labels
    different = float((got != want).mean())
    if different > 0.001:
        raise SystemExit(f"{different:.2%} of the labels differ from fedrela.core.relabel (allowed: 0.1 %)")
    result = {
        "samples": n,
        "classes": classes,
        "predict_seconds": predict_seconds,
        "relabel_seconds": relabel_seconds,
        "ratio": relabel_seconds / predict_seconds,
        "labels_that_differ": different,
        "relabeled": float((want != labels).mean()),
    }
    for key, value in result.items():
        print(f"{key:20s} {value:.5g}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


def _best(action: Callable[[], object]) -> float:
    """Seconds of processor time, the best of three after one run to warm up."""
    action()
    taken = []
    for _ in range(3):
        start = time.process_time()
        action()
        taken.append(time.process_time() - start)
    return min(taken)


if __name__ == "__main__":
    main()
